"""The pools of connection records inside an engine's pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._async.pool import AsyncPool
from ..._errors import NoConnectionsAvailable
from ..._pool import Pool
from ..._telemetry.report import exhausted

if TYPE_CHECKING:
    from ..._config import Config


class Records:
    """Mixed into the pools of records: the reading methods of the queue that is ``_pool`` in SQLAlchemy."""

    config: Config
    maxsize = 0  # SQLAlchemy's pool_size

    if TYPE_CHECKING:

        def _counts(self) -> tuple[int, int, int, int, int, int, list[int], list[int]]: ...

    @property
    def use_lifo(self) -> bool:
        """Whether the connection returned last is handed out first."""
        return self.config.order == "lifo"

    def qsize(self) -> int:
        """How many are idle."""
        return self._counts()[0]

    def empty(self) -> bool:
        """Whether none is idle."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Whether one more that came back would be closed."""
        return 0 < self.maxsize <= self.qsize()

    def open_now(self) -> int:
        """How many are open or being opened."""
        idle, leased, connecting, *_ = self._counts()
        return idle + leased + connecting

    def _exhausted(self, phase: str, waited: float, steps: list[Any] | None) -> NoConnectionsAvailable:
        limit = None
        if phase == "wait" and steps is None:
            over = max(self.config.max_size - self.maxsize, 0) if self.maxsize else 0
            limit = (
                f"FastPool limit of size {self.maxsize} overflow {over} reached, connection timed out, "
                f"timeout {self.config.timeout or 0:0.2f}"
            )
        return exhausted(self, phase, waited, steps, limit)  # type: ignore[arg-type]


class RecordPool(Records, Pool[Any]):
    """Records of synchronous connections."""


class AsyncRecordPool(Records, AsyncPool[Any]):
    """Records whose connections are opened and closed in an event loop."""

    def _leases(self) -> list[tuple[int, Any, int | None, Any, Any, int, int, int, Any, bool]]:
        """The present leases, without greenlets: SQLAlchemy's end with the checkout, and the owner is the task."""
        return [row if row[4] is None else (*row[:3], None, *row[4:]) for row in super()._leases()]
