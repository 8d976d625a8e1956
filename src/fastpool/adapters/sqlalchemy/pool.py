"""FastPool: the ``poolclass`` of ``create_engine``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .driver import PingingDriver, RecordDriver
from .records import RecordPool
from .shared import SharedPool


class FastPool(SharedPool):
    """A pool for engines whose dialect is synchronous; for threads and greenlets, and across forks.

    ``pool_size``, ``max_overflow`` (negative: no limit), ``timeout``, ``use_lifo`` and the arguments of
    ``sqlalchemy.pool.Pool`` mean what they mean in ``QueuePool``. The options of :class:`fastpool.Pool` are taken under
    their own names, also by ``create_engine``; ``max_size`` is ``pool_size + max_overflow``. ``order`` overrides
    ``use_lifo``, ``max_idle`` what ``pool_size`` says of it; ``check_after`` has idle connections pinged that were not
    used for so many seconds. TypeError or ValueError for a bad argument, naming it.
    """

    _is_asyncio = False
    _sqla_logger_namespace = "sqlalchemy.pool.FastPool"
    _pool: RecordPool

    def __init__(self, creator: Any, *args: Any, **kw: Any) -> None:
        super().__init__(creator, *args, **kw)
        if self._given.get("open"):
            self.open()

    def _new_pool(self, options: dict[str, Any]) -> RecordPool:
        return RecordPool(driver=self._driver(RecordDriver, PingingDriver), **options)

    def _taker(self) -> Callable[[], Any]:
        return self._pool.checkout  # the compiled method itself

    def open(self) -> None:
        """Open ``min_size`` connections, and keep them open."""
        self._pool.open()

    def warm(self, n: int | None = None, timeout: float | None = None) -> int:
        """Open connections until ``n`` (default ``pool_size``) are open; return how many are."""
        return self._pool.warm(self._size or None if n is None else n, timeout)

    def close(self, timeout: float | None = None) -> None:
        """Close the pool for good: idle connections now, those that are out when they come back.

        ``timeout``: wait so many seconds for those that are out, and close them then.
        """
        self._pool.close(timeout)


FastPool.__module__ = "fastpool.adapters.sqlalchemy"
