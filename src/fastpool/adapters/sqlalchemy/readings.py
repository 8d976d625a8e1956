"""The numbers of an engine's pool: SQLAlchemy's, and fastpool's."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..._telemetry.stats import LeaseInfo, Stats
    from .records import AsyncRecordPool, RecordPool


class Readings:
    """Mixed into the pool: all that only reads it."""

    _pool: RecordPool | AsyncRecordPool
    _size: int
    _most_over: int

    def size(self) -> int:
        """The argument ``pool_size``: so many are kept when they come back."""
        return self._size

    def timeout(self) -> float | None:
        """The seconds that a checkout may take; None: no limit."""
        return self._timeout

    def checkedin(self) -> int:
        """How many connections are idle."""
        return self._pool.qsize()

    def checkedout(self) -> int:
        """How many connections are out or being opened."""
        return self._pool.open_now() - self._pool.qsize()

    def overflow(self) -> int:
        """How many more than ``size()`` are open, negative while there are fewer; 0 without a limit."""
        return self._overflow if self._size else 0

    def status(self) -> str:
        """One line with the numbers."""
        return (
            f"Pool size: {self.size()}  Connections in pool: {self.checkedin()} "
            f"Current Overflow: {self.overflow()} Current Checked out connections: {self.checkedout()}"
        )

    @property
    def _overflow(self) -> int:
        return self._pool.open_now() - self._size

    @property
    def _max_overflow(self) -> int:
        return self._most_over

    @property
    def _timeout(self) -> float | None:
        return self._pool.config.timeout

    @property
    def name(self) -> str:
        """The pool's name, for ``fastpool.get_pool``, logs and metrics."""
        return self._pool.name

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._pool.closed

    def stats(self) -> Stats:
        """A snapshot, taken without a lock."""
        return self._pool.stats()

    def leases(self) -> list[LeaseInfo]:
        """The connections that are out, with their holders."""
        return self._pool.leases()
