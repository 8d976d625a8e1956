"""SteadyDBConnection: a DB-API connection that is opened anew when it was lost outside of a transaction."""

# mypy: disallow-subclassing-any=False, warn-unused-ignores=False

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from .creator import PING_CURSOR, PING_FETCHED, Creator, ping_of
from .cursor import SteadyDBCursor

if TYPE_CHECKING:
    from types import TracebackType

    _Theirs: Any = object
else:
    try:  # so that isinstance() with DBUtils' own class goes on to be true
        from dbutils.steady_db import SteadyDBConnection as _Theirs
    except ImportError:
        _Theirs = object

_IN_TRANSACTION = 2  # libpq's transaction status, which psycopg2 shows


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


class SteadyDBConnection(_Theirs):
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
        self._con: Any = None
        self._closed = True
        self._lease = 0  # grows with every return to the pool; its cursors of before are invalid then
        self._cursors: WeakSet[SteadyDBCursor] = WeakSet()  # opened in this lease
        self._ended: Callable[[], object] = _nothing  # called when a transaction has ended
        self._made_by = Creator(creator, args, kwargs)
        self._creator = self._made_by.connect
        self._args, self._kwargs = args, kwargs
        if maxusage is not None and (isinstance(maxusage, bool) or not isinstance(maxusage, int)):
            raise TypeError("'maxusage' must be an integer value.")
        self._maxusage = maxusage or 0
        self._setsession_sql = setsession
        one = isinstance(failures, type) and issubclass(failures, Exception)
        if not (failures is None or isinstance(failures, tuple) or one):
            raise TypeError("'failures' must be a tuple of exceptions.")
        self._failures: Any = failures
        if isfatal is not None and not callable(isfatal):
            raise TypeError("'isfatal' must be a callable.")
        self._isfatal = isfatal
        self._ping, self._pinger = ping_of(ping)
        self._closeable = closeable
        self._store(self._create())

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

    # ---- the raw connection ------------------------------------------------------------------------------------------

    @property
    def _dbapi(self) -> Any:
        return self._made_by.dbapi

    @property
    def _threadsafety(self) -> int | None:
        return self._made_by.threadsafety

    def _create(self) -> Any:
        """Open another raw connection, with its session prepared."""
        con = self._made_by.open()
        try:
            if self._failures is None:
                self._failures = self._made_by.failures_of(con)
            self._failure = self._failures[0] if isinstance(self._failures, tuple) else self._failures
            self._setsession(con)
        except BaseException:
            with suppress(Exception):
                con.close()
            raise
        return con

    def _setsession(self, con: Any = None) -> None:
        if self._setsession_sql:
            con = self._con if con is None else con
            cursor = con.cursor()
            for statement in self._setsession_sql:
                cursor.execute(statement)
            cursor.close()
            if getattr(getattr(con, "info", None), "transaction_status", 0) == _IN_TRANSACTION:
                con.commit()  # the rollback at the connection's return would undo the settings

    def _store(self, con: Any) -> None:
        self._con = con
        self._transaction = self._closed = False
        self._usage = 0

    def _close(self) -> None:
        if not self._closed:
            with suppress(Exception):
                self._con.close()
            self._transaction = False
            self._closed = True

    def _exchange(self, con: Any) -> None:
        self._close()
        self._store(con)

    def _opened(self, *args: Any, **kwargs: Any) -> tuple[Any, Any] | None:
        """Another raw connection with a cursor; None if there is none to be had."""
        con = None
        try:
            con = self._create()
            return con, con.cursor(*args, **kwargs)
        except Exception:
            if con is not None:
                with suppress(Exception):
                    con.close()
            return None

    def _reopen(self) -> bool:
        """Replace the raw connection; False if there is none to be had."""
        try:
            con = self._create()
        except Exception:
            return False
        self._exchange(con)
        return True

    def _end_lease(self) -> None:
        """End the use of all cursors: they could send something while another caller has the connection."""
        for cursor in list(self._cursors):
            cursor.close()
        self._cursors.clear()
        self._lease += 1

    def _reset(self, force: bool = False) -> None:
        """Roll back if ``force``, or if in a transaction."""
        if not self._closed and (force or self._transaction):
            with suppress(Exception):
                self.rollback()

    def _end_by(self, name: str) -> None:
        self._transaction = False
        try:
            getattr(self._con, name)()
        except self._failures:
            self._reopen()
            raise
        finally:
            self._ended()

    def _fatal_check(self, error: BaseException) -> bool:
        return self._isfatal is None or bool(self._isfatal(error))

    def _is_overused(self) -> bool:
        return bool(self._maxusage and self._usage >= self._maxusage and not self._transaction)

    def _is_alive(self) -> bool | None:
        """Check the raw connection; None if there is no way to."""
        if self._pinger is not None:
            try:
                said = self._pinger(self._con)
            except Exception:
                return False
            return said is None or bool(said)
        try:
            try:
                said = self._con.ping(False)  # do not reconnect: the new connection's session would not be prepared
            except TypeError:
                said = self._con.ping()
        except (AttributeError, IndexError, TypeError, ValueError):
            self._ping = 0  # it has no ping
            return None
        except Exception:
            return False
        return said is None or bool(said)

    def _ping_check(self, ping: int = PING_FETCHED, reconnect: bool = True) -> bool | None:
        """Check the connection if it is to be checked now, and open it anew if it is dead and in no transaction.

        Whether it works in the end; None if it was not checked.
        """
        if not ping & self._ping:
            return None
        alive = self._is_alive()
        if alive is False and reconnect and not self._transaction:
            return self._reopen()
        return alive

    def _cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Open a raw cursor, on a new connection if this one is lost or overused."""
        in_transaction = self._transaction
        if not in_transaction:
            self._ping_check(PING_CURSOR)
        overused = self._is_overused()
        try:
            if overused:
                raise self._failure(f"the connection was used {self._usage} times, as often as maxusage allows")
            return self._con.cursor(*args, **kwargs)
        except self._failures as error:
            if not overused and not self._fatal_check(error):
                raise
            opened = self._opened(*args, **kwargs)
            if opened is None:
                self._transaction = False
                raise
            con, cursor = opened
            self._exchange(con)
            if in_transaction:
                raise
            return cursor


def _nothing() -> None:
    """Stand in for a callback that nobody has set."""
