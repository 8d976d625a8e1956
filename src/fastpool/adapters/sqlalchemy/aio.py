"""AsyncFastPool: the ``poolclass`` of ``create_async_engine``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool

from ..._async.pool import CLOSES_S
from .driver import AwaitedPings, AwaitedRecords
from .greenlets import await_, in_greenlet, result_of
from .records import AsyncRecordPool
from .shared import SharedPool


class AsyncFastPool(SharedPool):
    """A pool for engines whose dialect is asynchronous, as :class:`FastPool` is for the others.

    A task waits without blocking its loop. It works in several loops: a connection is used in the loop that opened it.
    ``open``, ``warm`` and ``close`` are awaited.
    """

    _is_asyncio = True
    _sqla_logger_namespace = "sqlalchemy.pool.AsyncFastPool"
    _dialect = AsyncAdaptedQueuePool._dialect
    _pool: AsyncRecordPool

    def _new_pool(self, options: dict[str, Any]) -> AsyncRecordPool:
        if self._given.get("open"):
            raise ValueError("open=True cannot be given to an AsyncFastPool: `await pool.open()` in the loop")
        return AsyncRecordPool(driver=self._driver(AwaitedRecords, AwaitedPings), **options)

    def _taker(self) -> Callable[[], Any]:
        acheckout = self._pool._acheckout
        return lambda: result_of(acheckout(...))

    def _await_closes(self) -> None:
        if in_greenlet():
            await_(self._pool._wait_for_closes(self._pool.driver.closing, CLOSES_S))

    async def open(self) -> None:
        """Open ``min_size`` connections in this loop, and keep them open."""
        await self._pool.open()

    async def warm(self, n: int | None = None, timeout: float | None = None) -> int:
        """Open connections in this loop until ``n`` (default ``pool_size``) are open; return how many are."""
        return await self._pool.warm(self._size or None if n is None else n, timeout)

    async def close(self, timeout: float | None = None) -> None:
        """Close the pool for good: idle connections now, those that are out when they come back."""
        await self._pool.close(timeout)


AsyncFastPool.__module__ = "fastpool.adapters.sqlalchemy"
