"""How raw DB-API connections are made, and what their module says of itself: errors, thread safety."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...drivers import _modules as modules
from .errors import NotSupportedError

PING_FETCHED, PING_CURSOR, PING_EXECUTE = 1, 2, 4  # the bits of `ping`
_FAILURES = ("OperationalError", "InterfaceError", "InternalError")
_PING_ERROR = (
    "ping must be an integer from 0 to 7, an SQL statement, a callable, or a tuple of an integer and one of these, "
    "not {!r}"
)

Pinger = Callable[[Any], Any]


class Creator:
    """Makes connections with ``creator``: a function, or a DB-API module (or what has its ``connect``).

    ``dbapi`` is the module as far as it is known, ``threadsafety`` its level, None if unknown. TypeError if ``creator``
    can make no connection.
    """

    def __init__(self, creator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.creator = creator
        self.connect = getattr(creator, "connect", creator)
        self.args, self.kwargs = args, kwargs
        self.dbapi: Any = None
        named = getattr(creator, "dbapi", None)
        if self.connect is not creator:
            self.dbapi = named if getattr(named, "connect", None) else creator
        elif named is not None:
            self.dbapi = named
        else:
            module = sys.modules.get(getattr(creator, "__module__", None) or "")
            if getattr(module, "connect", None) == creator:
                self.dbapi = module
        self.threadsafety: int | None = getattr(creator, "threadsafety", getattr(self.dbapi, "threadsafety", None))
        if not callable(self.connect):
            raise TypeError(f"{creator!r} is not a connection provider.")

    def open(self) -> Any:
        """Call the function, and learn from the connection which module it is of."""
        con = self.connect(*self.args, **self.kwargs)
        if getattr(self.dbapi, "connect", None) != self.connect:
            self.dbapi = module_of(con)
        if self.threadsafety is None:
            self.threadsafety = getattr(self.dbapi, "threadsafety", getattr(con, "threadsafety", None))
        return con

    def failures_of(self, con: Any) -> tuple[type[BaseException], ...]:
        """The errors that may mean a broken connection. AttributeError if neither module nor connection has them."""
        for source in (self.dbapi, self.connect, con):
            with suppress(AttributeError):
                return tuple(getattr(source, name) for name in _FAILURES)
        raise AttributeError("Could not determine failure exceptions (please set failures or creator.dbapi).")


def module_of(con: Any) -> Any:
    """The DB-API module of a connection: the nearest one above its class, or its OperationalError, that connects."""
    error = getattr(con, "OperationalError", None)
    return modules.module_of(con) or modules.connecting(getattr(error, "__module__", None))


def threadsafety_of(creator: Any) -> int:
    """The level that the pool goes by before there is a connection; a plain function is taken to be safe enough.

    NotSupportedError for a module that is not thread-safe, or does not say.
    """
    for source in (creator, getattr(creator, "dbapi", None)):
        if hasattr(source, "threadsafety"):
            level = getattr(source, "threadsafety", None)
            break
    else:
        level = 0 if callable(getattr(creator, "connect", None)) else 1
    if not level:
        raise NotSupportedError(
            f"{creator!r} is not thread-safe (threadsafety {level!r}): its connections cannot be pooled. "
            "Database module is not thread-safe."
        )
    return int(level)


def ping_of(ping: Any) -> tuple[int, Pinger | None]:
    """Split ``ping`` into its bits and the function that checks a connection; TypeError if it is neither."""
    pinger: Any = None
    if isinstance(ping, tuple):
        if len(ping) != 2:
            raise TypeError(_PING_ERROR.format(ping))
        ping, pinger = ping
        if isinstance(pinger, str):
            pinger = _by_statement(pinger)
        elif pinger is not None and not callable(pinger):
            raise TypeError(_PING_ERROR.format(pinger))
    elif isinstance(ping, str):
        ping, pinger = PING_FETCHED, _by_statement(ping)
    elif callable(ping):
        ping, pinger = PING_FETCHED, ping
    return (ping if isinstance(ping, int) else 0), pinger


def _by_statement(statement: str) -> Pinger:
    def execute(con: Any) -> None:
        cursor = con.cursor()
        try:
            cursor.execute(statement)
        finally:
            with suppress(Exception):
                cursor.close()

    return execute
