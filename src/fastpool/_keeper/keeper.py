"""The keeper: one daemon thread per process, which has the maintenance of all pools done that need it.

It sleeps until the earliest deadline of any pool (or until a pool calls), and gives what is due to its helpers
(`crew`), so that a job that hangs does not delay it. It ends when no pool needs it any more.
"""

from __future__ import annotations

import heapq
import itertools
import os
import sys

from .._core import KEEPER_POST, clock, clock_is_stopped
from .._core.threads import WakeEvent, start
from .._light.hints import TYPE_CHECKING
from .._light.log import logger
from . import upkeep as _upkeep
from .crew import LOOK, Crew, log_refusal
from .kept_pool import KeptPool

if TYPE_CHECKING:
    from .._config import Config
    from .._core import Core, Job

_STOPPED_CLOCK_NAP_S = 0.005  # while a test holds the clock: how soon a moved clock is noticed
_LONGEST_NAP_S = 3600.0
_AGAIN_S = 1.0  # after an upkeep that failed unforeseen
_BREATH_S = 0.05  # after a round that failed, so that one that always fails does not burn a processor


def needs_keeping(config: Config) -> bool:
    """Whether an option of a pool needs the keeper."""
    return bool(
        config.min_size
        or config.idle_timeout is not None
        or config.max_lifetime is not None
        or config.keepalive is not None
        or config.leak_after is not None
        or config.shared is not None
    )


class Keeper:
    """The deadlines of all pools in a heap, and the thread that meets them.

    Everything here may be interrupted at every line by a signal handler or a finalizer that uses, makes or closes a
    pool, and by an exception raised in one. So there is no lock: shared state is changed by single operations of dicts
    and lists, or by compiled code.
    """

    def __init__(self) -> None:
        self._begin_anew()

    def _begin_anew(self) -> None:
        KEEPER_POST.forget()
        self._entries: dict[int, KeptPool] = {}  # by the pool's number
        self._heap: list[tuple[float, int, int, KeptPool]] = []
        self._order = itertools.count()
        self._wake_event = WakeEvent()
        self._asleep = False
        self._rounds = 0
        self._refused = False
        self._stumbled: BaseException | None = None
        self.crew = Crew(self._do, self.wake)

    def look_after(self, pool: Core) -> KeptPool:
        """Begin (or go on) to look after ``pool``. RuntimeError if a thread is needed and none can be started."""
        kept = self._entries.get(pool._id)
        if kept is None:
            kept = self._entries.setdefault(pool._id, KeptPool(pool, self.call, self._put, self.drop))
        self.crew.desk.called.append(kept)
        self._start()
        self.wake()
        return kept

    def _start(self) -> None:
        """See that the thread is there."""
        if not KEEPER_POST.held:
            start(KEEPER_POST, "fastpool-keeper", self._run)
            self._refused = False

    def forget(self, pool: Core) -> None:
        """Stop looking after ``pool``."""
        self.drop(pool._id)

    def drop(self, number: int, _: object = None) -> None:
        """Stop looking after the pool of this number (its weak reference calls this, too)."""
        kept = self._entries.pop(number, None)
        if kept is not None:
            kept.over = True
            self.wake()

    def call(self, kept: KeptPool) -> None:
        """Ring for a pool: it is looked after as soon as the thread is awake."""
        self.crew.desk.called.append(kept)
        try:
            self._start()
        except Exception as error:
            self.not_started(error)
        self.wake()

    def not_started(self, error: Exception) -> None:
        """Log, once, that the thread could not be started; the next pool that needs it tries again."""
        if not self._refused:
            self._refused = True
            log_refusal("its thread could not be started, and no pool is looked after until it can", error)

    def wake(self) -> None:
        """Wake the thread, to see what is due."""
        self._wake_event.set()

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return KEEPER_POST.held

    @property
    def settled(self) -> bool:
        """Whether all that is due has been done (for tests that move the clock)."""
        rounds = self._rounds
        if not self.running:
            return True
        if not self._asleep or self.crew.desk.busy or any(when <= clock() for when, *_ in self._heap[:1]):
            return False
        # It slept all the while, so it gave nothing to its helpers meanwhile.
        return self._asleep and self._rounds == rounds

    # ---- the thread

    def _run(self) -> None:
        while True:
            try:
                if self._stumbled is not None:
                    self._wake_event.wait(_BREATH_S)
                # It is unknown what was in hand, and which calls were noticed, when the round before ended.
                self.crew.desk.called.extend(self._entries.values())
                self.wake()
                nap: float | None = 0.0
                while nap is not None:
                    nap = self._round(nap)
                return
            except BaseException as error:  # whatever was raised in this thread, and by what: the pools need it
                self._asleep, self._stumbled = False, error  # and nothing else here, where it would not be caught

    def _round(self, nap: float) -> float | None:
        """Sleep for this long, or until called, and have done what is due. How long to sleep next; None: it ends."""
        self._asleep = True
        self._wake_event.wait(nap)
        self._rounds += 1
        self._asleep = False
        desk = self.crew.desk
        if sys.is_finalizing():
            return None
        while desk.called:
            self._look_at(desk.called.pop(0))
        while desk.planned:
            self._schedule(*desk.planned.pop(0))
        now = clock()
        while self._heap and self._heap[0][0] <= now:
            _, _, rounds, kept = heapq.heappop(self._heap)
            if rounds == kept.rounds:
                self._look_at(kept)
        nap = min(self.crew.supervise(), self._time_left())
        if self._entries or desk.called or desk.waiting:
            return nap
        self._heap.clear()
        KEEPER_POST.resign()
        if self._entries or desk.called:  # by a caller that saw the thread still running
            self._start()
        else:
            self.crew.dismiss()
        return None

    def _time_left(self) -> float:
        if not self._heap:
            return _LONGEST_NAP_S
        left = max(self._heap[0][0] - clock(), 0.0)
        return min(left, _STOPPED_CLOCK_NAP_S if clock_is_stopped() else _LONGEST_NAP_S)

    def _look_at(self, kept: KeptPool) -> None:
        if self._entries.get(kept.number) is kept:
            kept.again = True  # first, so that a helper that looks at it now, or has just looked, looks again
            self._put(kept, LOOK)

    def _put(self, kept: KeptPool, kind: str) -> None:
        self.crew.put(kept, kind)

    def _schedule(self, kept: KeptPool, due: float) -> None:
        kept.rounds += 1
        heapq.heappush(self._heap, (due, next(self._order), kept.rounds, kept))
        if len(self._heap) > 2 * len(self._entries) + 64:  # most of it is out of date
            self._heap = [item for item in self._heap if item[2] == item[3].rounds]
            heapq.heapify(self._heap)

    # ---- in a helper's thread

    def _do(self, job: Job[KeptPool]) -> float | None:
        """Do a job, and say when to look at its pool again. An exception raised here concerns that pool alone."""
        kept, kind = job.kept, job.kind
        stumbled, self._stumbled = self._stumbled, None
        if stumbled is not None:
            logger.warn_safely("keeper: a round failed, and all pools are looked at again: %r", stumbled)
        try:
            pool = kept.pool()
            if pool is None or self._entries.get(kept.number) is not kept:
                return None
            if pool.closed:
                self.drop(kept.number)
                return None
            if kind != LOOK:
                _upkeep.JOBS[kind](pool, kept)
                return None
            kept.again = False
            return _upkeep.tend(pool, kept)
        except BaseException as error:  # a driver's SystemExit must not end the upkeep of all pools
            due = kept.until[kind] = clock() + _AGAIN_S
            told = "keeper: looking after pool %r failed; it is tried again in a second"
            logger.warn_safely(told, kept.name, exc_info=error)
            return due


keeper = Keeper()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=keeper._begin_anew)
