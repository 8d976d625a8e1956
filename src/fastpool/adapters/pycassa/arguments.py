"""The arguments of pycassa's pool, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..._config import MOST_CONNECTIONS, Config
from ..._servers import normalise_server

PYCASSA = {  # what pycassa takes by name only, with its defaults
    "pool_timeout": 30,
    "recycle": 10000,
    "max_retries": 5,
    "max_overflow": 0,
    "logging_name": None,
    "listeners": (),
}


def whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """Return ``value`` if it is an integer in its range; else TypeError or ValueError that names the argument."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < least or (most is not None and value > most):
        wanted = f"at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be {wanted}, not {value}")
    return value


def seconds(name: str, value: Any, forever: str) -> float:
    """Return ``value`` if it is a number of seconds; ``forever``: the error's text for the value without limit."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds or {forever}, not {value!r}")
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number of seconds or {forever}, not {value!r}")
    return value


def waiting(value: Any) -> float | None:
    """Return ``pool_timeout`` in seconds; None: no limit."""
    if value is None or (value == -1 and not isinstance(value, bool)):
        return None
    return seconds("pool_timeout", value, "-1 for ever")


def function(name: str, value: Any) -> Any:
    """Return ``value`` if it is callable."""
    if not callable(value):
        raise TypeError(f"{name} must be callable, not {value!r}")
    return value


def keyspace(value: Any) -> str:
    """Check a keyspace's name."""
    if not isinstance(value, str):
        raise TypeError(f"keyspace must be a string, not {value!r}")
    return value


def credentials(value: Any) -> Mapping[str, str] | None:
    """Check the credentials. The error does not show them: they may be secret."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError("credentials must be a dict with 'username' and 'password', or None")
    return value


def timeout(value: Any) -> float | None:
    """Check a connection's time limit, in seconds."""
    if value is not None and seconds("timeout", value, "None") == 0:
        raise ValueError(f"timeout must be above 0, or None, not {value!r}")
    return value  # type: ignore[no-any-return]


def overflow(value: Any, pool_size: int) -> int:
    """Check ``max_overflow``."""
    found = whole("max_overflow", value, -1)
    if pool_size + found > MOST_CONNECTIONS:
        raise ValueError(f"pool_size + max_overflow must be at most {MOST_CONNECTIONS}, not {pool_size + found}")
    return found


def servers(name: str, value: Any) -> Any:
    """Check a list of servers, or a function that gives one."""
    if callable(value):
        return value
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a list of 'host:port', or a function that gives one, not {value!r}")
    found = list(value)
    for server in found:
        normalise_server(server, 1)
    return found


def sizes(pool_size: int, max_overflow: int) -> dict[str, Any]:
    """The options of fastpool.Pool for pycassa's sizes: connections beyond ``pool_size`` are overflow."""
    if max_overflow < 0:
        return {"max_size": MOST_CONNECTIONS, "max_overflow": -1, "max_idle": pool_size}
    return {"max_size": pool_size + max_overflow, "max_overflow": 0, "max_idle": pool_size if max_overflow else None}


def checked(
    given: dict[str, Any], options: dict[str, Any], max_size: int | None, server_option: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check all arguments; return pycassa's, and the options of fastpool.Pool. ``server_option``: its ``servers``."""
    given |= {name: options.pop(name, default) for name, default in PYCASSA.items() if name not in given}
    for name, check in (("keyspace", keyspace), ("credentials", credentials), ("timeout", timeout)):
        check(given[name])
    size = whole("pool_size", given["pool_size"], 1, MOST_CONNECTIONS)
    if max_size is not None:
        given["max_overflow"] = whole("max_size", max_size, size, MOST_CONNECTIONS) - size
    beyond = overflow(given["max_overflow"], size)
    for name in ("recycle", "max_retries"):
        whole(name, given[name], -1)
    for name in ("socket_factory", "transport_factory"):
        function(name, given[name])
    listeners = given["listeners"]
    if isinstance(listeners, str | bytes | Mapping) or not isinstance(listeners, Iterable):
        raise TypeError(f"listeners must be a list of listeners, not {listeners!r}")
    given["listeners"] = tuple(listeners)
    given["use_threadlocal"], given["prefill"] = bool(given["use_threadlocal"]), bool(given["prefill"])
    given["live_servers"] = callable(server_option)
    named = "server_list" if server_option is None else "servers"
    given["server_list"] = servers(named, given["server_list"] if server_option is None else server_option)
    own: dict[str, Any] = {"order": "fifo", "max_connecting": size + max(beyond, 0), "backoff": (0.05, 1.0)}
    own |= {"nested": given["use_threadlocal"], **sizes(size, beyond), "timeout": waiting(given.pop("pool_timeout"))}
    own["listeners"] = options.pop("pool_listeners", ())
    if isinstance(given["logging_name"], str) and given["logging_name"]:
        own["name"] = given["logging_name"]
    merged = {**own, **options}
    Config.build(**merged)  # raises for a bad option before anything is opened
    return given, merged
