"""Psycopg: psycopg's connections to PostgreSQL, synchronous and asynchronous."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from .._core import clock
from .._driver import Driver

if TYPE_CHECKING:
    import psycopg

# What a holder may have changed on a connection; each is set again as it was when the connection was new.
_SETTINGS = ("autocommit", "isolation_level", "read_only", "deferrable")
_READ, _WRITE = 1, 2  # selectors.EVENT_READ and EVENT_WRITE


class _Postgres(Driver[Any]):
    """Common to both: the arguments, and whether a connection is fit for the next caller."""

    def __init__(self, conninfo: str = "", **kwargs: Any) -> None:
        import psycopg

        if not isinstance(conninfo, str):
            raise TypeError(f"conninfo must be a connection string, not {conninfo!r}")
        # raises psycopg.ProgrammingError for a bad one, which does not know kwargs such as autocommit
        parsed = psycopg.conninfo.conninfo_to_dict(conninfo)
        self.limited = "connect_timeout" in kwargs or "connect_timeout" in parsed
        self.conninfo, self.kwargs = conninfo, kwargs

    def arguments(self, server: Any, timeout: float | None) -> dict[str, Any]:
        """The keyword arguments of one connect."""
        given = dict(self.kwargs)
        if server is not None:
            given["host"], given["port"] = server
        if timeout is not None and not self.limited:
            given["connect_timeout"] = max(math.ceil(timeout), 2)  # libpq counts whole seconds, and takes 1 as 2
        return given

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Unless it is broken, or a query was interrupted: its rows may still be on their way."""
        from psycopg.pq import PipelineStatus, TransactionStatus

        return (
            not c.closed
            and c.info.transaction_status not in (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN)
            and c.pgconn.pipeline_status == PipelineStatus.OFF
        )

    def blames_server(self, error: Exception) -> bool:
        """Say no for wrong arguments."""
        import psycopg

        return not isinstance(error, (TypeError, ValueError, psycopg.ProgrammingError))

    def fileno(self, c: Any) -> int:
        """The descriptor; raises if the connection is closed."""
        return int(c.fileno())

    def changed(self, c: Any) -> list[tuple[str, Any]]:
        """The settings that differ from those of a new connection, with what they were."""
        return [
            (name, value)
            for name in _SETTINGS
            if getattr(c, name) != (value := self.kwargs.get(name) or _default(name))
        ]


class Psycopg(_Postgres, Driver["psycopg.Connection[Any]"]):
    """Opens ``psycopg.connect(conninfo, **kwargs)``; with ``servers``, ``host`` and ``port`` are theirs.

    A connection is checked by an empty query, within the time for that: one round trip and no transaction. When it
    comes back, an open transaction is rolled back, and what its holder changed (autocommit, isolation level, read only,
    deferrable, row factory) is set as it was. An exception costs the connection only if a query was interrupted, or the
    connection is broken. In an AsyncPool it gives AsyncConnections.

    ImportError without psycopg; psycopg.ProgrammingError for a bad ``conninfo``.
    """

    def awaited(self) -> AsyncPsycopg:
        """Give the driver for an AsyncPool."""
        return AsyncPsycopg(self.conninfo, **self.kwargs)

    def connect(self, server: Any, timeout: float | None) -> psycopg.Connection[Any]:
        """Connect, within ``timeout`` rounded up to whole seconds, two at least."""
        import psycopg

        return psycopg.connect(self.conninfo, **self.arguments(server, timeout))

    def check(self, c: psycopg.Connection[Any], timeout: float | None) -> bool:
        """Send an empty query, and wait for its result for ``timeout`` at most."""
        from selectors import DefaultSelector

        deadline = None if timeout is None else clock() + timeout
        steps = _empty_query(c.pgconn)
        try:
            events = next(steps)
            with DefaultSelector() as selector:
                while True:
                    key = selector.register(c.pgconn.socket, events)
                    left = None if deadline is None else deadline - clock()
                    if (left is not None and left <= 0) or not selector.select(left):
                        return False
                    selector.unregister(key.fileobj)
                    events = next(steps)
        except StopIteration as end:
            return bool(end.value)

    def reset(self, c: psycopg.Connection[Any]) -> None:
        """Roll back what is open, and undo what was set."""
        from psycopg.pq import TransactionStatus

        if c.info.transaction_status != TransactionStatus.IDLE:
            c.rollback()
        for name, value in self.changed(c):
            setattr(c, name, value)
        _set_row_factory(c, self.kwargs)


class AsyncPsycopg(_Postgres, Driver["psycopg.AsyncConnection[Any]"]):
    """Opens ``psycopg.AsyncConnection``, for an AsyncPool; in all else as :class:`Psycopg`."""

    async def connect(self, server: Any, timeout: float | None) -> psycopg.AsyncConnection[Any]:
        """Connect, within ``timeout`` rounded up to whole seconds, two at least."""
        import psycopg

        return await psycopg.AsyncConnection.connect(self.conninfo, **self.arguments(server, timeout))

    async def check(self, c: psycopg.AsyncConnection[Any], timeout: float | None) -> bool:
        """Send an empty query, and wait for its result; the pool ends the wait after ``timeout``."""
        import asyncio

        loop, fd = asyncio.get_running_loop(), c.pgconn.socket
        steps = _empty_query(c.pgconn)
        try:
            events = next(steps)
            while True:
                ready: asyncio.Future[None] = loop.create_future()
                watch, forget = (
                    (loop.add_reader, loop.remove_reader) if events == _READ else (loop.add_writer, loop.remove_writer)
                )
                watch(fd, _set, ready)
                try:
                    await ready
                finally:
                    forget(fd)
                events = next(steps)
        except StopIteration as end:
            return bool(end.value)

    async def reset(self, c: psycopg.AsyncConnection[Any]) -> None:
        """Roll back what is open, and undo what was set."""
        from psycopg.pq import TransactionStatus

        if c.info.transaction_status != TransactionStatus.IDLE:
            await c.rollback()
        for name, value in self.changed(c):
            await getattr(c, f"set_{name}")(value)
        _set_row_factory(c, self.kwargs)

    async def close(self, c: psycopg.AsyncConnection[Any]) -> None:
        """Close it."""
        await c.close()


def _empty_query(pgconn: Any) -> Generator[int, None, bool]:
    """Send an empty query; yields what to wait for (_READ, _WRITE), returns whether the server answered it."""
    from psycopg.pq import ExecStatus

    pgconn.send_query(b"")
    while pgconn.flush():
        yield _WRITE
    answered = False
    while True:
        while pgconn.is_busy():
            yield _READ
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return answered
        answered = result.status == ExecStatus.EMPTY_QUERY


def _set(future: Any) -> None:
    if not future.done():
        future.set_result(None)


def _default(name: str) -> Any:
    return False if name == "autocommit" else None


def _set_row_factory(c: Any, kwargs: dict[str, Any]) -> None:
    from psycopg.rows import tuple_row

    c.row_factory = kwargs.get("row_factory") or tuple_row
