"""Peculiarities of DB-API modules beyond PEP 249: closed marks, autocommit, time limits of a connect."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
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

# attributes that a holder can set, beside autocommit
_SETTINGS = {
    "psycopg": ("isolation_level", "read_only", "deferrable"),
    "psycopg2": ("isolation_level", "readonly", "deferrable"),
    "sqlite3": ("isolation_level", "row_factory", "text_factory"),
}

# modules whose connections know without asking the server whether they commit each statement by itself
_SHOW_AUTOCOMMIT = {"MySQLdb", "mariadb", "oracledb", "psycopg", "psycopg2", "pymysql", "pyodbc", "sqlite3"}


class Named:
    """A module as it is pickled: by its name."""

    def __init__(self, name: str) -> None:
        self.name = name


def is_closed(con: Any) -> bool:
    """Whether its module calls the connection closed, without I/O; False if it has no word for that."""
    mark = closed_mark(con)
    return mark is not None and mark(con)


def closed_mark(con: Any) -> Callable[[Any], bool] | None:
    """The function that tells whether connections of this kind are closed, without I/O; None if there is none."""
    if isinstance(getattr(con, "closed", None), int):  # a bool; psycopg2's is 0, 1 or 2
        return lambda con: bool(con.closed)
    if isinstance(getattr(con, "open", None), int):
        return lambda con: not con.open
    return _refuses_to_count if root(type(con)) == "sqlite3" else None


def _refuses_to_count(con: Any) -> bool:
    try:
        con.total_changes  # noqa: B018  # any attribute that only an open one has
    except Exception:
        return True
    return False


def says_alive(said: Any) -> bool:
    """Whether the result of a ping means that the connection works; None does, too."""
    return said is None or bool(said)


def by_own_ping(ping: Callable[..., Any]) -> bool:
    """Call a connection's own ``ping``."""
    try:
        said = ping(False)  # PyMySQL's and mysqlclient's: do not reconnect, for the session would not be prepared
    except TypeError:
        said = ping()
    return says_alive(said)


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
    argument, least = _LIMITS.get(root(connect), ("", 0))
    given = argument in kwargs or any(isinstance(one, str) and argument in one for one in args)
    if timeout is None or not argument or given:
        return {}
    return {argument: max(math.ceil(timeout), least)}


def autocommit_of(con: Any) -> Any:
    """Whether each statement is committed by itself; None if the module does not say without asking its server."""
    if root(type(con)) not in _SHOW_AUTOCOMMIT:
        return None
    ask = getattr(con, "get_autocommit", None)  # PyMySQL, mysqlclient
    if ask is not None:
        return bool(ask())
    value = getattr(con, "autocommit", None)
    if isinstance(value, bool):
        return value
    return con.isolation_level is None if root(type(con)) == "sqlite3" else None


def set_autocommit(con: Any, value: bool) -> None:
    """Have each statement committed by itself, or not. AttributeError if the module has no way."""
    if callable(getattr(con, "autocommit", None)):
        con.autocommit(value)
    elif root(type(con)) == "sqlite3" and not isinstance(getattr(con, "autocommit", None), bool):
        con.isolation_level = None if value else ""
    else:
        con.autocommit = value


def settings_of(con: Any) -> dict[str, Any]:
    """The settings of a connection, beside autocommit, that a holder can change and that outlive a rollback."""
    names = _SETTINGS.get(root(type(con)), ())
    return {name: getattr(con, name) for name in names}


def module_of(con: Any) -> Any:
    """The DB-API module of a connection: the nearest one above its class that connects; None if there is none."""
    return connecting(type(con).__module__)


def connecting(name: str | None) -> Any:
    """The nearest imported module at or above this name that has a ``connect``; None if there is none."""
    while name:
        module = sys.modules.get(name)
        if callable(getattr(module, "connect", None)):
            return module
        name = name.rpartition(".")[0]
    return None


def root(thing: Any) -> str:
    """The name of the package that a class, a function or a module is of."""
    while isinstance(thing, partial):
        thing = thing.func
    name = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None) or ""
    first = str(name).partition(".")[0]
    return "sqlite3" if first == "_sqlite3" else first
