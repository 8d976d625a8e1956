"""The arguments of socketpool's pool, checked when they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..._core import seconds_to_ns


def _callable(name: str, value: Any) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be a callable that makes a connector, not {value!r}")


def _at_least_one(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, not {value}")


def _options(name: str, value: Any) -> None:
    if value is not None and not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        raise TypeError(f"{name} must be a dict with names as keys, or None, not {value!r}")


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, (bool, int)):
        raise TypeError(f"{name} must be True or False, not {value!r}")


def _seconds(name: str, value: Any) -> None:
    if value is None:
        raise TypeError(f"{name} must be a number of seconds, not None")
    seconds_to_ns(name, value)


def _delay(name: str, value: Any) -> None:
    _seconds(name, value)
    if value == 0:
        raise ValueError(f"{name} must be a number of seconds above 0, not {value!r}")


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "factory": _callable,
    "retry_max": _at_least_one,
    "retry_delay": _seconds,
    "options": _options,
    "reap_connections": _flag,
    "reap_delay": _delay,
}


def checked(name: str, value: Any) -> Any:
    """Return ``value``; TypeError or ValueError that names the argument if it is not valid."""
    _CHECKS[name](name, value)
    return value


def seconds_or_forever(timeout: Any) -> Any:
    """socketpool's ``timeout`` as fastpool's: -1 becomes None, no limit."""
    return None if isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and timeout == -1 else timeout
