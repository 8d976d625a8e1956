"""Opening connections ahead of their use, up to a number; several callers may do so at the same time."""

from __future__ import annotations

from .._core import clock, deadline_after
from .._errors import PoolClosed
from .._light.hints import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._base import BasePool

NAP_S = 0.001  # between two looks at what others are opening


class Opening:
    """One call of ``open()`` or ``warm()``: how many connections it wants open, and what it does next.

    ``until``: when to stop at the latest; None: not before they are open. ``connects_s``: the limit of each connect.
    """

    __slots__ = ("_connects_s", "_first", "_patience_s", "_pool", "_seen", "_changed_at", "_until", "_wanted", "opened")

    def __init__(self, pool: BasePool, wanted: int, until: float | None, connects_s: float | None) -> None:
        self._pool = pool
        self._wanted = wanted
        self._until = until
        self._connects_s = connects_s
        self._patience_s = pool.config.timeout if until is None else None
        self._first = False
        self._seen = (0, 0)
        self._changed_at = clock()
        self.opened: list[Any] = []  # the connections that this call has opened, noted by the core

    # ---- of open() ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The pool is open from now on; PoolClosed if it was closed before."""
        pool = self._pool
        self._refuse_closed()
        if not pool.was_opened:
            self._first = pool.was_opened = True
            pool._tell("pool_opened")

    def failed(self) -> None:
        """Undo this call: the connections that it has opened are closed, except those that are checked out by now."""
        if self._first:
            self._pool.was_opened = False
        self._pool._close_unused(self.opened)

    def succeeded(self) -> None:
        """All are open, and the keeper keeps them so; PoolClosed if the pool was closed meanwhile."""
        self._refuse_closed()
        self._pool.was_opened = True  # of several calls at once, the first may have failed and reset this
        self._pool._keep()

    def _refuse_closed(self) -> None:
        if self._pool.closed:
            raise PoolClosed(f"pool {self._pool.name!r} is closed, and stays closed: make another one")

    # ---- step by step ------------------------------------------------------------------------------------------

    @property
    def goes_on(self) -> bool:
        """Whether fewer are open than wanted, and there is time left."""
        pool = self._pool
        if len(pool) >= min(self._wanted, pool.config.max_size) or pool.closed:
            return False
        return self._until is None or clock() < self._until

    @property
    def is_short(self) -> bool:
        """Whether one more must be opened; False: those that other callers are opening now are enough.

        NoConnectionsAvailable if no connection of those callers has come for as long as the pool's ``timeout``.
        """
        pool = self._pool
        now, seen = clock(), (len(pool), pool._connecting)
        if seen != self._seen:
            self._seen, self._changed_at = seen, now
        elif self._patience_s and now - self._changed_at > self._patience_s:
            raise pool._exhausted("connect", now - self._changed_at, None)
        return sum(seen) < min(self._wanted, pool.config.max_size)

    @property
    def seconds_left(self) -> float | None:
        """The time limit of the next connect; None: no limit."""
        left = None if self._until is None else max(self._until - clock(), 0.0)
        return min((limit for limit in (left, self._connects_s) if limit is not None), default=None)


def warming(pool: BasePool, n: int | None, timeout: float | None) -> Opening:
    """A call of ``warm(n, timeout)``; TypeError, ValueError or PoolClosed if it is refused."""
    most = pool.config.max_size
    if n is not None and (isinstance(n, bool) or not isinstance(n, int)):
        raise TypeError(f"n must be an integer or None, not {n!r}")
    if n is not None and not 0 <= n <= most:
        raise ValueError(f"n must be from 0 to max_size ({most}), not {n}")
    if pool.closed:
        raise PoolClosed(f"pool {pool.name!r} is closed")
    until = deadline_after(timeout)
    opening = Opening(pool, most if n is None else n, None if timeout is None else until, None)
    if opening.goes_on and not pool.was_opened:
        pool._first_use()
    return opening
