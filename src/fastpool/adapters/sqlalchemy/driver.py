"""Drivers for SQLAlchemy's connection records, which stay in their slots while their connections are replaced."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from sqlalchemy.pool.base import _ConnDialect, _ConnectionRecord

from ..._driver import Driver
from .errors import PoolDeadlock, TimeoutError
from .greenlets import spawn
from .raw import descriptor_of, end_without_loop
from .servers import SERVER, listen_to

if TYPE_CHECKING:
    from .shared import SharedPool


class RecordDriver(Driver[Any]):
    """Opens and closes records as SQLAlchemy's own pools do, so that all of its events are told.

    A record whose connection was invalidated or detached is in good order: SQLAlchemy connects it again when it is
    checked out.
    """

    exhausted_error = TimeoutError
    deadlock_error = PoolDeadlock
    size_option = "pool_size or max_overflow"

    def __init__(self, owner: SharedPool) -> None:
        self._owner = weakref.ref(owner)  # else a pool that is dropped would wait for the garbage collector

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Make a record, which connects.  ``timeout`` is not passed on: a DBAPI's ``connect`` has no such argument."""
        owner: Any = self._owner()
        if server is None:
            return owner._create_connection()
        listen_to(owner._dialect)  # it may have got its dialect later, as `pool` of create_engine
        record = _ConnectionRecord(owner, connect=False)
        assert record.record_info is not None
        record.record_info[SERVER] = server
        record.get_connection()
        return record

    def close(self, c: Any) -> Any:
        """Close the record's connection, if it has one."""
        c.close()

    def fileno(self, c: Any) -> int:
        """The descriptor below the connection, -1 if there is none to be known; raises if it is closed.

        Not known at first: the pool would otherwise ask at each return, when a record may be without a connection.
        """
        if c.dbapi_connection is None or "_fastpool_opened" not in c.__dict__:
            c._fastpool_opened = True
            return -1
        fd = descriptor_of(c.driver_connection)
        return -1 if fd is None else fd


class PingingDriver(RecordDriver):
    """Pings, too: with ``check_after`` at a checkout, with ``keepalive`` while idle."""

    def __init__(self, owner: SharedPool, checks: bool) -> None:
        super().__init__(owner)
        self._checks = checks

    def check(self, c: Any, timeout: float | None) -> Any:
        """Ping at a checkout, if ``check_after`` was given."""
        return self._ping(c) if self._checks else True

    def ping(self, c: Any, timeout: float | None) -> Any:
        """Ping an idle connection."""
        return self._ping(c)

    def _ping(self, record: Any) -> Any:
        dialect: Any = self._owner()._dialect  # type: ignore[union-attr]
        c = record.dbapi_connection
        if c is None or isinstance(dialect, _ConnDialect):  # not an engine's pool: SQLAlchemy knows no ping for it
            return True
        alive = bool(dialect._do_ping_w_event(c))
        if alive:
            dialect.do_rollback(c)  # or an idle connection would be left in a transaction
        return alive


class AwaitedRecords(RecordDriver):
    """For a dialect of asyncio: the same calls, each in a greenlet of SQLAlchemy's, to be awaited."""

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Give a coroutine that makes a record."""
        return spawn(super().connect, server, timeout)

    def close(self, c: Any) -> Any:
        """Give a coroutine that closes the record's connection."""
        return spawn(super().close, c)

    def close_without_loop(self, c: Any) -> None:
        """Close the record's connection as far as that goes: its event loop is closed."""
        adapted, c.dbapi_connection = c.dbapi_connection, None
        if adapted is not None:
            end_without_loop(adapted)


class AwaitedPings(AwaitedRecords, PingingDriver):
    """Records of asyncio's connections, with pings."""

    def _ping(self, record: Any) -> Any:
        return spawn(super()._ping, record)
