"""The arguments of the pools that the drop-ins replace, sorted into the pool's and the library's."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..._config import Config

# Bounds each wait of what the pool does by itself, whatever the socket timeout: closing forgotten scanners at a
# checkin, and pinging idle connections.
PATIENCE_S = 5.0

# The keyword arguments that are options of the pool; not ``timeout``, which is the socket's in both libraries.
_POOL_OPTIONS = frozenset(option.name for option in fields(Config)) - {"max_size", "timeout"}


def checked_size(size: Any) -> int:
    """The pool's size; TypeError or ValueError with the texts of happybase and aiohappybase."""
    if not isinstance(size, int):
        raise TypeError("Pool 'size' arg must be an integer")
    if not size > 0:
        raise ValueError("Pool 'size' arg must be greater than zero")
    return int(size)  # both libraries take True for 1


def options_among(kwargs: dict[str, Any], size: int, where: tuple[Any, Any] | None) -> dict[str, Any]:
    """Take the pool's own options out of ``kwargs``; by default all ``size`` connections may be opened at once.

    ``where``: the host and port to connect to without ``servers``, if that is where. If ``backoff`` is given they are a
    list of one server, because only a server that the pool knows is left alone after it refused.
    """
    options = {name: kwargs.pop(name) for name in _POOL_OPTIONS & kwargs.keys()}
    if where is not None and "backoff" in options and options.get("servers") is None:
        options["servers"] = [where]
    return {"max_connecting": size, **options}
