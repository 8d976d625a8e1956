"""The arguments of PooledDB, checked; and which keywords are fastpool's options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from ..._config import MOST_CONNECTIONS, Config
from .creator import ping_of

OPTIONS = frozenset(field.name for field in fields(Config))
"""The keywords that are options of the pool; all others go to the creator."""


def count(name: str, value: Any) -> int:
    """An integer from 0 on, None being 0."""
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer or None, not {value!r}")
    if not 0 <= value <= MOST_CONNECTIONS:
        raise ValueError(f"{name} must be from 0 to {MOST_CONNECTIONS}, not {value}")
    return value


def usage(value: Any) -> int | None:
    """Check ``maxusage``."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"maxusage must be an integer or None, not {value!r}")
    if value is not None and value < 0:
        raise ValueError(f"maxusage must be at least 0, not {value}")
    return value


def statements(value: Any) -> Any:
    """Check ``setsession``: a list of statements."""
    if value is not None and (isinstance(value, (str, bytes)) or not isinstance(value, Iterable)):
        raise TypeError(f"setsession must be a list of SQL statements or None, not {value!r}")
    return value


def failures(value: Any) -> Any:
    """Check ``failures``: an exception class, or a tuple of them."""
    kinds = value if isinstance(value, tuple) else (value,)
    if value is not None and not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        raise TypeError(f"failures must be an exception class or a tuple of them, not {value!r}")
    return value


def ping(value: Any) -> Any:
    """Check ``ping``."""
    ping_of(value)
    return value


def split_isfatal(args: tuple[Any, ...], named: Any) -> tuple[Any, tuple[Any, ...]]:
    """``isfatal``, and the creator's arguments.

    Since DBUtils 3.2 the first one after ``ping`` is ``isfatal``. A value that cannot be that is the first of the
    creator's, as it was before.
    """
    if args and (args[0] is None or (callable(args[0]) and not isinstance(args[0], type))):
        if named is not None:
            raise TypeError("isfatal was given twice, by its name and by its position")
        return args[0], args[1:]
    return callable_or_none(named), args


def callable_or_none(isfatal: Any) -> Any:
    """Check ``isfatal``."""
    if isfatal is not None and not callable(isfatal):
        raise TypeError(f"isfatal must be callable or None, not {isfatal!r}")
    return isfatal


def sizes(given: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The pool's sizes for DBUtils' numbers, which it raises so that none contradicts another."""
    mincached, maxcached, maxconnections = given["mincached"], given["maxcached"], given["maxconnections"]
    if maxcached:
        maxcached = max(maxcached, mincached)
    if options.get("max_size") is not None:
        named = options.pop("max_size")
        if maxconnections and maxconnections != named:
            raise ValueError(f"max_size must be maxconnections ({maxconnections}), or not be given, not {named!r}")
        maxconnections = count("max_size", named)
    if maxconnections:
        maxconnections = max(maxconnections, maxcached, mincached, given["maxshared"])
    given["maxconnections"] = maxconnections
    own: dict[str, Any] = {"max_size": maxconnections or MOST_CONNECTIONS, "max_idle": maxcached or None}
    own["max_connecting"] = own["max_size"]
    return own
