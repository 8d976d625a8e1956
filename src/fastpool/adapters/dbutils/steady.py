"""SteadyDBConnection: a DB-API connection that is opened anew when it was lost outside of a transaction."""

# mypy: disallow-subclassing-any=False, warn-unused-ignores=False

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from .cursor import SteadyDBCursor
from .raw import RawConnection

if TYPE_CHECKING:
    from types import TracebackType

    _Theirs: Any = object
else:
    try:  # so that isinstance() with DBUtils' own class goes on to be true
        from dbutils.steady_db import SteadyDBConnection as _Theirs
    except ImportError:
        _Theirs = object


def connect(
    creator: Any,
    maxusage: int | None = None,
    setsession: Iterable[str] | None = None,
    failures: Any = None,
    ping: Any = 1,
    closeable: bool = True,
    isfatal: Callable[[BaseException], Any] | None = None,
    *args: Any,
    **kwargs: Any,
) -> SteadyDBConnection:
    """Open a steady connection that belongs to no pool; the arguments are SteadyDBConnection's."""
    return SteadyDBConnection(creator, maxusage, setsession, failures, ping, closeable, isfatal, *args, **kwargs)


class SteadyDBConnection(RawConnection, _Theirs):
    """A connection made by ``creator`` with the arguments ``args`` and ``kwargs``.

    ``maxusage``: most executed statements and calls of one raw connection, 0 or None for no limit. ``setsession``:
    statements that are executed on each new one. ``failures``: the exception classes that may mean that it was lost;
    default: the module's OperationalError, InterfaceError and InternalError. ``isfatal(error)``: whether such an error
    really does. ``ping``: when it is checked (the sum of 1: when fetched, 2: at each new cursor, 4: at each statement),
    or how, or both as a tuple. ``closeable=False``: ``close()`` only ends the transaction. TypeError for a bad
    argument.
    """

    def __init__(
        self,
        creator: Any,
        maxusage: int | None = None,
        setsession: Iterable[str] | None = None,
        failures: Any = None,
        ping: Any = 1,
        closeable: bool = True,
        isfatal: Callable[[BaseException], Any] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._closeable = closeable
        super().__init__(creator, maxusage, setsession, failures, ping, isfatal, args, kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()

    def __del__(self) -> None:
        with suppress(BaseException):
            if not self._closed and self._closeable:
                self.close()
            self._close()

    # ---- the connection's interface ----------------------------------------------------------------------------------

    def dbapi(self) -> Any:
        """The DB-API module. AttributeError if it is not known."""
        if self._dbapi is None:
            raise AttributeError("Could not determine DB-API 2 module (please set creator.dbapi).")
        return self._dbapi

    @property
    def dbapi_connection(self) -> Any:
        """The module's own connection. What is executed on it is neither repeated nor counted."""
        return self._con

    def threadsafety(self) -> int:
        """The module's level of thread safety, 0 if it does not say. AttributeError if the module is not known."""
        level = self._made_by.threadsafety
        if level is None and self._dbapi is None:
            raise AttributeError("Could not determine threadsafety (please set creator.dbapi or creator.threadsafety).")
        return level or 0

    def close(self) -> None:
        """Close it; it may be called again. One that is not closeable ends its transaction only."""
        if self._closeable:
            self._close()
        elif self._transaction:
            self._reset()

    def begin(self, *args: Any, **kwargs: Any) -> None:
        """Begin a transaction: until its end the connection is not replaced silently, and not shared with others."""
        self._transaction = True
        begin = getattr(self._con, "begin", None)
        if begin is not None:
            begin(*args, **kwargs)

    def commit(self) -> None:
        """Commit. After a failure the connection is replaced, and the error raised."""
        self._end_by("commit")

    def rollback(self) -> None:
        """Roll back. After a failure the connection is replaced, and the error raised."""
        self._end_by("rollback")

    def cancel(self) -> None:
        """End the transaction's protection, and call the connection's own ``cancel`` if it has one."""
        self._transaction = False
        cancel = getattr(self._con, "cancel", None)
        if cancel is not None:
            cancel()
        self._ended()

    def ping(self, *args: Any, **kwargs: Any) -> Any:
        """Call the connection's own ``ping``."""
        return self._con.ping(*args, **kwargs)

    def cursor(self, *args: Any, **kwargs: Any) -> SteadyDBCursor:
        """Open a steady cursor; the arguments are those of the module's own."""
        return SteadyDBCursor(self, *args, **kwargs)

    # ---- for the pool ---------------------------------------------------------------------------------------------

    def _end_lease(self) -> None:
        """End the use of all cursors: they could send something while another caller has the connection."""
        if self._cursors:
            for reference in self._cursors:
                cursor = reference()
                if cursor is not None:
                    cursor.close()
            self._cursors = []
        self._lease += 1

    def _reset(self, force: bool = False) -> None:
        """Roll back if ``force``, or if in a transaction."""
        if not self._closed and (force or self._transaction):
            with suppress(Exception):
                self.rollback()
