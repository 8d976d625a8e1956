"""AsyncFastPool: the ``poolclass`` of ``create_async_engine``."""

from __future__ import annotations

from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import concurrency

from ..._async.pool import CLOSES_S
from .driver import AwaitedPings, AwaitedRecords
from .records import AsyncRecordPool
from .shared import SharedPool

_await: Any = getattr(concurrency, "await_", None) or concurrency.await_only  # its name until SQLAlchemy 2.1


class AsyncFastPool(SharedPool):
    """A pool for engines whose dialect is asynchronous, as :class:`FastPool` is for the others.

    A task waits without blocking its loop. It works in several loops: a connection is used in the loop that opened it.
    ``open``, ``warm`` and ``close`` are awaited.
    """

    _is_asyncio = True
    _dialect = AsyncAdaptedQueuePool._dialect

    def _new_pool(self, options: dict[str, Any]) -> AsyncRecordPool:
        if self._given.get("open"):
            raise ValueError("open=True cannot be given to an AsyncFastPool: `await pool.open()` in the loop")
        return AsyncRecordPool(driver=self._driver(AwaitedRecords, AwaitedPings), **options)

    def _take(self) -> Any:
        # Awaited outside of this greenlet, which ends with the checkout: the owner is the task.
        return _await(self._pool._acheckout(...))

    def _await_closes(self) -> None:
        if getattr(concurrency._concurrency_shim.getcurrent(), "__sqlalchemy_greenlet_provider__", False):
            _await(self._pool._wait_for_closes(self._pool.driver.closing, CLOSES_S))

    async def open(self) -> None:
        """Open ``min_size`` connections in this loop, and keep them open."""
        await self._pool.open()

    async def warm(self, n: int | None = None, timeout: float | None = None) -> int:
        """Open connections in this loop until ``n`` (default ``pool_size``) are open; return how many are."""
        opened: int = await self._pool.warm(self._size or None if n is None else n, timeout)
        return opened

    async def close(self, timeout: float | None = None) -> None:
        """Close the pool for good: idle connections now, those that are out when they come back."""
        await self._pool.close(timeout)


AsyncFastPool.__module__ = "fastpool.adapters.sqlalchemy"
