"""The raw connection of a steady one: how it is opened, prepared, checked and replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..._core import clock
from ...drivers import _modules as modules
from . import arguments
from .creator import PING_CURSOR, PING_FETCHED, Creator, ping_of

if TYPE_CHECKING:
    from .cursor import SteadyDBCursor

_IN_TRANSACTION = 2  # libpq's transaction status, which psycopg2 shows


class RawConnection:
    """Opens raw connections, and has one of them at a time in ``_con``."""

    def __init__(
        self,
        creator: Any,
        maxusage: int | None,
        setsession: Iterable[str] | None,
        failures: Any,
        ping: Any,
        isfatal: Callable[[BaseException], Any] | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._con: Any = None
        self._closed = True
        self._lease = 0  # grows with every return to the pool; its cursors of before are invalid then
        self._cursors: list[ref[SteadyDBCursor]] = []  # opened in this lease
        self._ended: Callable[[], object] = _nothing  # called when a transaction has ended
        self._made_by = Creator(creator, args, kwargs)
        self._creator = self._made_by.connect
        self._args, self._kwargs = args, kwargs
        self._maxusage = arguments.usage(maxusage) or 0
        self._setsession_sql = arguments.statements(setsession)
        self._failures: Any = arguments.failures(failures)
        self._isfatal = arguments.callable_or_none(isfatal)
        self._ping, self._pinger = ping_of(ping)
        self._store(self._create())

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

    @property
    def fileno(self) -> Callable[[], int]:
        """A function that returns the descriptor, and raises once closed. AttributeError if the module shows none."""
        self._con.fileno  # noqa: B018
        return self._descriptor

    def _descriptor(self) -> int:
        return int(self._con.fileno())

    def _store(self, con: Any) -> None:
        self._con = con
        self._closed_mark = modules.closed_mark(con)
        self._transaction = self._closed = False
        self._usage = 0
        self._born = clock()

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

    def _overuse(self) -> Any:
        """The error that has an overused connection replaced."""
        return self._failure(f"the connection was used {self._usage} times, as often as maxusage allows")

    def _is_alive(self) -> bool | None:
        """Check the raw connection; None if there is no way to."""
        if self._pinger is not None:
            try:
                return modules.says_alive(self._pinger(self._con))
            except Exception:
                return False
        try:
            return modules.by_own_ping(self._con.ping)
        except (AttributeError, IndexError, TypeError, ValueError):
            self._ping = 0  # it has no ping
            return None
        except Exception:
            return False

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
                raise self._overuse()
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
