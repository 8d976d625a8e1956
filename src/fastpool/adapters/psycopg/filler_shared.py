"""Connections are opened in the background, by threads or tasks of the pool's own, so that no caller ever connects.

They open ``min_size`` connections, at most ``num_workers`` at once, and one more at a time while callers wait and there
is room. After a failure one of them goes on trying, more and more slowly; quickly while callers wait.
"""

from __future__ import annotations

import contextlib
import time
import weakref
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from ..._core import Cell
from .base import AttemptWithBackoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .steps import Steps

GLANCE_S = 0.5  # how often a pause looks whether the pool still exists
PERMIT_S = 0.02  # how often a permit of a shared name is asked for while callers wait
SAMPLES = 16  # looks at the idle connections in each `max_idle`
LEAST_NAP_S = 0.005


class BaseFiller:
    """Determines how many connections are missing, and starts the workers that open them: threads or tasks."""

    def __init__(self, pool: Any, workers: int) -> None:
        self.pool: Callable[[], Any] = weakref.ref(pool)
        self.idle_workers = deque(range(workers))
        self.retrying = False  # one worker pauses between two attempts, and no other connects
        self.given_up = False  # the server was away for too long: nothing is opened until a caller waits
        self.stopped = False
        self.shrinking = False
        self.awaited = 0  # calls of wait() under way: they hurry as callers do
        self._reserved = Cell(0)  # the number of connections that workers are opening
        self._extra = 0  # connections wanted in place of those that drain() has closed

    @property
    def pursued(self) -> int:
        """How many connections are being opened, or will be."""
        pool = self.pool()
        if pool is None or self.stopped:
            return 0
        reserved: int = self._reserved.value
        return reserved if self.given_up else max(reserved, pool.min_size - len(pool))

    @property
    def working(self) -> bool:
        """Whether a worker has something to do."""
        pool = self.pool()
        return pool is not None and len(self.idle_workers) < pool.num_workers

    def want(self, more: int = 0) -> None:
        """See that what is missing is opened; ``more``: so many beyond what is kept open."""
        self.given_up = False
        self._extra = more
        self.ask()

    def ask(self) -> None:
        """Start workers for what is missing, or hurry the one that pauses."""
        if self.retrying:
            self.hurry()
            return
        pool = self.pool()
        if pool is None or self.stopped or (self.given_up and not pool.has_waiters):
            return
        for _ in range(self._needed(pool, self._reserved.value)):
            try:
                worker = self.idle_workers.popleft()
            except IndexError:
                return
            self.start(worker)

    @contextlib.contextmanager
    def hurried(self) -> Iterator[None]:
        """Try more often inside this block, as while callers wait."""
        self.awaited += 1
        try:
            self.want()
            yield
        finally:
            self.awaited -= 1

    def hurries(self, pool: Any) -> bool:
        """Whether somebody waits for what is opened."""
        return self.awaited > 0 or pool.has_waiters

    def waiting(self, _: object) -> None:
        """Note that a caller waits; an event of the pool's."""
        self.given_up = False
        self.ask()

    def reserve(self) -> bool:
        """Whether one more connection is to be opened; if so, it is this worker's to open."""
        while (pool := self.pool()) is not None and not self.stopped and not pool.closed:
            before: int = self._reserved.value
            if self._needed(pool, before) <= 0:
                return False
            if self._reserved.replace(before, before + 1):
                return True
        return False

    def release(self) -> None:
        """Note that a worker has opened its connection, or failed."""
        while not self._reserved.replace(before := self._reserved.value, before - 1):
            pass

    def _needed(self, pool: Any, reserved: int) -> int:
        """How many connections are to be opened beside those that are reserved; one at a time for callers that wait."""
        size = len(pool)
        missing: int = min(pool.min_size + self._extra, pool.max_size) - size
        if missing <= 0:
            self._extra = 0
        if missing > reserved:
            return missing - reserved
        return int(pool.has_waiters and not reserved and size < pool.max_size)

    def wait_for_permit(self, pool: Any) -> float:
        """How long to pause where a reserved connection could not be opened, in seconds; 0: it is not wanted any more.

        It is still wanted if other processes hold all permits of a shared name.
        """
        if self._needed(pool, self._reserved.value - 1) <= 0 or pool.closed:
            return 0.0
        return PERMIT_S if pool.has_waiters else GLANCE_S

    def opened(self, pool: Any) -> None:
        """Note a success, and see that a pool that has grown shrinks again."""
        self.given_up = False
        self.see_size(pool)

    def see_size(self, pool: Any) -> None:
        """See that a pool with more than ``min_size`` connections shrinks when they are not used."""
        if len(pool) > pool.min_size and not self.shrinking:
            self.shrinking = True
            try:
                self.start_shrinking()
            except BaseException:
                self.shrinking = False
                raise

    def attempts(self, pool: Any) -> AttemptWithBackoff:
        """A new row of attempts."""
        return AttemptWithBackoff(pool.reconnect_timeout, pool.first_pause, pool.longest_pause)

    # ---- the steps of the workers

    def work(self, worker: int) -> Steps[None]:
        """Open connections as long as some are missing."""
        try:
            while self.reserve():
                try:
                    goes_on = yield from self._open_one()
                finally:
                    self.release()
                if not goes_on:
                    break
        finally:
            self.idle_workers.append(worker)
        self.ask()  # a caller may have begun to wait since

    def _open_one(self) -> Steps[bool]:
        """Open the reserved connection, in as many attempts as it takes; False: this worker is to end."""
        attempts = None
        hurried = False  # this attempt is made early, because callers wait
        try:
            while (pool := self.pool()) is not None and not self.stopped:
                try:
                    opened: bool = yield pool.open_in_background
                except Exception as error:
                    if pool.closed or (self.retrying and attempts is None):
                        return False  # another worker goes on trying
                    self.retrying = True
                    attempts = attempts or self.attempts(pool)
                    if attempts.failed(pool.name, error, hurried):
                        self.retrying = False
                        self.given_up = True
                        yield pool.reconnect_failed
                        return False
                else:
                    if opened:
                        self.opened(pool)
                    elif wait := self.wait_for_permit(pool):
                        del pool
                        yield partial(self.nap_for_permit, wait)
                        continue
                    return opened
                del pool
                yield partial(self.pause, attempts)
                hurried = attempts.due(False) > 0
            return False
        finally:
            if attempts is not None:
                self.retrying = False

    def left(self, attempts: AttemptWithBackoff) -> float:
        """How long to sleep before the next look at a pause, in seconds; 0: it is over."""
        pool = self.pool()
        if pool is None or self.stopped:
            return 0.0
        return min(attempts.due(self.hurries(pool)), GLANCE_S)

    def shrink(self) -> Steps[None]:
        """Close one connection after each `max_idle` seconds in which not all were used."""
        least, tick = None, None
        try:
            while (pool := self.pool()) is not None and not self.stopped and len(pool) > pool.min_size:
                nap, least, tick = shrink_step(pool, least, tick)
                del pool
                yield partial(self.nap, nap)
        finally:
            self.shrinking = False
        if (pool := self.pool()) is not None and not self.stopped:
            self.see_size(pool)  # it may have grown since the last look

    # ---- what threads and tasks do in their own ways; a task awaits what the last three return

    def start(self, worker: int) -> None:
        """Have ``worker`` open connections as long as some are missing."""
        raise NotImplementedError

    def start_shrinking(self) -> None:
        """Look after the size of a pool that has grown."""
        raise NotImplementedError

    def hurry(self) -> None:
        """Wake the worker that pauses, because a caller waits."""
        raise NotImplementedError

    def pause(self, attempts: AttemptWithBackoff) -> Any:
        """Sleep until the next attempt is due."""
        raise NotImplementedError

    def nap(self, seconds: float) -> Any:
        """Sleep between two looks at the size of a pool that has grown."""
        raise NotImplementedError

    def nap_for_permit(self, seconds: float) -> Any:
        """Sleep between two attempts to get a permit of a shared name."""
        raise NotImplementedError


def shrink_step(pool: Any, least: int | None, tick: float | None) -> tuple[float, int, float]:
    """Look at a pool that has grown. Returns when to look again, in seconds, and what is to be given then.

    ``least``: the fewest idle connections since ``tick`` began, in which time one is closed if all looks found some.
    """
    now = time.monotonic()
    idle = pool.available
    least = idle if least is None else min(idle, least)
    # ticks are counted from the opening of the pool, as psycopg_pool's are
    period = max(pool.max_idle, LEAST_NAP_S)
    following = now + period - (now - pool.opened_at) % period
    tick = following if tick is None else tick
    if now >= tick:
        if least > 0:
            pool.shrink(least)
        least, tick = pool.available, following
    return max(min(period / SAMPLES, tick - now), LEAST_NAP_S), least, tick
