"""What DB-API modules do beyond PEP 249: how a connection shows that it is closed, and how its connect is limited."""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType
from typing import Any

# module -> (the argument of its connect, the fewest seconds that it can count), all in whole seconds
_LIMITS = {
    "psycopg": ("connect_timeout", 2),  # libpq takes 1 as 2
    "psycopg2": ("connect_timeout", 2),
    "pymysql": ("connect_timeout", 1),
    "MySQLdb": ("connect_timeout", 1),
    "mariadb": ("connect_timeout", 1),
}


def is_closed(con: Any) -> bool:
    """Whether its module calls the connection closed, without I/O; False if it has no word for that."""
    for name, when_closed in (("closed", True), ("open", False)):
        value = getattr(con, name, None)
        if isinstance(value, int):  # psycopg2's is 0, 1 or 2
            return bool(value) is when_closed
    if _root(type(con)) == "sqlite3":
        try:
            getattr(con, "total_changes")  # noqa: B009  # any attribute that only an open one has
        except Exception:
            return True
    return False


def fileno(con: Any) -> int:
    """The connection's descriptor, -1 if it has none; raises if it is closed."""
    descriptor = getattr(con, "fileno", None)
    if descriptor is None:
        if is_closed(con):
            raise ValueError(f"{con!r} is closed")
        return -1
    return int(descriptor())


def connect_limit(connect: Any, timeout: float | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, int]:
    """The argument by which ``connect`` (a function, or a module) is limited to ``timeout`` seconds; {} if unknown."""
    argument, least = _LIMITS.get(_root(connect), ("", 0))
    given = argument in kwargs or any(isinstance(one, str) and argument in one for one in args)
    if timeout is None or not argument or given:
        return {}
    return {argument: max(math.ceil(timeout), least)}


def _root(thing: Any) -> str:
    while isinstance(thing, partial):
        thing = thing.func
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None) or ""
    root = str(name).partition(".")[0]
    return "sqlite3" if root == "_sqlite3" else root
