"""The arguments of the pools, sorted into fastpool's options and what goes to redis-py."""

from __future__ import annotations

import queue
from dataclasses import fields
from typing import Any

from ..._config import MOST_CONNECTIONS, Config

# max_connections is redis-py's name of this one
_POOL_OPTIONS = frozenset(option.name for option in fields(Config)) - {"max_size"}


def options_among(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Take fastpool's options out of ``kwargs``. TypeError for ``max_size``, which is ``max_connections`` here."""
    if "max_size" in kwargs:
        raise TypeError(f"max_size is called max_connections here: give max_connections={kwargs['max_size']!r}")
    options = {name: kwargs.pop(name) for name in _POOL_OPTIONS & kwargs.keys()}
    if isinstance(options.get("timeout"), str):  # of a URL, in redis-py before 5.0.2
        options["timeout"] = float(options["timeout"])
    return options


def sized(options: dict[str, Any], max_connections: int) -> dict[str, Any]:
    """The options of a pool with so many connections, all of which may be opened at once.

    redis-py takes any number (its default was 2**31 once); a pool of ours has at most 65535.
    """
    size = min(max_connections, MOST_CONNECTIONS)
    return {"max_size": size, "max_connecting": size, "check_after": 0, **options}


def check_servers(options: dict[str, Any], connection_class: Any, connection_kwargs: dict[str, Any]) -> None:
    """ValueError if ``servers`` is given to a pool whose connections find their server in another way."""
    if options.get("servers") is None:
        return
    for name in ("path", "connection_pool"):  # a unix socket; Sentinel
        if name in connection_kwargs:
            raise ValueError(
                f"servers={options['servers']!r} cannot be given with {connection_class.__name__}, "
                f"whose {name} says where to connect"
            )


def order_of(queue_class: Any) -> str:
    """The order in which a queue of this class gives connections out. TypeError if it is no class."""
    if not isinstance(queue_class, type):
        raise TypeError(f"queue_class must be a class such as queue.LifoQueue or queue.Queue, not {queue_class!r}")
    return "lifo" if issubclass(queue_class, queue.LifoQueue) or "Lifo" in queue_class.__name__ else "fifo"
