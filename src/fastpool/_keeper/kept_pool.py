"""The keeper's state of one pool: when each task is due, and which connects of its own failed."""

from __future__ import annotations

import functools
import weakref

from .._core import clock
from .._errors import AllServersUnavailable
from .._light.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Core

FLOOR_S = 0.1  # the shortest pause after a failed connect, whatever `backoff` says
_KINDS = 8  # how many kinds of failure of one pool are counted apart until it recovers; all others count as one
_REMINDER_S = 3600.0


class Failures:
    """The keeper's failed connects for one pool since its last success."""

    __slots__ = ("_count", "_seen", "until")

    def __init__(self) -> None:
        self.until = 0.0  # no connect before, on the pool's clock
        self._count = 0
        self._seen: dict[tuple[type, str], tuple[int, float]] = {}  # by type and text: how often, and when logged

    def add(self, error: Exception, backoff: tuple[float, float]) -> int:
        """Note one more failure, and how long to pause after it.

        Return how often this very failure has been seen if that is worth a line in the log (the first time, the 10th,
        the 100th …, and each hour), else 0.
        """
        first, longest = backoff
        now = clock()
        self.until = now + max(FLOOR_S, min(longest, first * 2.0 ** min(self._count, 30)))
        self._count += 1
        # AllServersUnavailable also says how many seconds each server is left alone, so no two texts are equal.
        cause = error.__cause__ if isinstance(error, AllServersUnavailable) and error.__cause__ else error
        kind: tuple[type, str] = (type(cause), str(cause))
        if kind not in self._seen and len(self._seen) >= _KINDS:
            kind = (Exception, "all the others")
        count, logged = self._seen.get(kind, (0, now))
        count += 1
        news = str(count).rstrip("0") == "1" or now - logged >= _REMINDER_S
        self._seen[kind] = (count, now if news else logged)
        return count if news else 0


class KeptPool:
    """One pool in the keeper's book.

    ``call(kept)`` wakes the keeper for it, ``put(kept, kind)`` has work done, ``drop(number)`` ends the entry.
    """

    __slots__ = (
        "_call", "_put", "again", "alarm", "failures", "name", "number", "old_may_go", "over", "pool", "rounds",
        "succeeded", "until",
    )  # fmt: skip

    def __init__(
        self,
        pool: Core,
        call: Callable[[KeptPool], None],
        put: Callable[[KeptPool, str], None],
        drop: Callable[[int, object], None],
    ) -> None:
        self._call, self._put = call, put
        self.number = pool._id
        self.name = pool.name
        self.pool = weakref.ref(pool, functools.partial(drop, self.number))
        self.rounds = 0  # counts what is due for it, so that an older entry of the heap is known to be stale
        self.over = False  # the pool is not looked after any more, or by a later entry
        self.again = False  # it was called while it may have been looked at already
        self.until: dict[str, float] = {}  # by kind of work: not before this time
        self.failures = Failures()
        self.alarm: str | None = None  # a failure that is to be told of if it brings the pool below its minimum
        self.succeeded = 0.0  # connections that were too old by then have a successor, or could have none
        self.old_may_go = True

    def soon(self) -> None:
        """Look after the pool now; never blocks, never switches and never fails."""
        self._call(self)

    def order(self, kind: str) -> None:
        """Have a kind of work done, unless it is being done."""
        self._put(self, kind)
