"""The keeper: one daemon thread per process that looks after the pools that asked for it.

It sleeps until the earliest deadline of any pool (or until a pool calls), does what is due there, and ends when no
pool needs it any more. It is a real thread with a real lock also where gevent has patched both: a checkin must never
switch greenlets, and waking the keeper is part of some checkins.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from . import _upkeep
from ._core import clock, clock_is_stopped

if TYPE_CHECKING:
    from ._config import Config
    from ._pool import Pool

logger = logging.getLogger("fastpool")

_STOPPED_CLOCK_NAP_S = 0.005  # while a test holds the clock: how soon a moved clock is noticed
_LONGEST_NAP_S = 3600.0


def needs_keeping(config: Config) -> bool:
    """Whether a pool has asked for something that nobody does unless a thread does it."""
    return bool(
        config.min_size
        or config.idle_timeout is not None
        or config.max_lifetime is not None
        or config.keepalive is not None
        or config.leak_after is not None
    )


def _green() -> bool:
    """Whether threading may have been patched, so that a Thread would be a greenlet."""
    return "gevent.monkey" in sys.modules or "eventlet.patcher" in sys.modules


def _original(module: str, name: str) -> Any:
    """The interpreter's own, whatever gevent has put in its place."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None:
        return gevent.get_original(module, name)
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None:
        return getattr(eventlet.original(module), name)
    return getattr(__import__(module), name)


class Entry:
    """One pool in the keeper's book."""

    __slots__ = ("_keeper", "failures", "pool", "rounds")

    def __init__(self, keeper: Keeper, pool: Pool) -> None:
        self._keeper = keeper
        self.pool = weakref.ref(pool, lambda _: keeper.call(self))
        self.failures = _upkeep.Failures()
        self.rounds = 0  # counts what is due for it, so that an older heap entry is known to be stale

    def soon(self) -> None:
        """Look after the pool now; never blocks and never switches."""
        self._keeper.call(self)


class Keeper:
    """Deadlines of all pools in a heap, and the thread that meets them."""

    def __init__(self) -> None:
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._heap: list[tuple[float, int, int, Entry]] = []
        self._order = itertools.count()
        self._called: list[Entry] = []  # appended by whoever calls, emptied by the thread: list operations are atomic
        self._bell = _original("_thread", "allocate_lock")()
        self._bell.acquire()
        self._guard = _original("_thread", "allocate_lock")()
        self._running = False
        self._asleep = False

    def look_after(self, pool: Pool) -> Entry:
        """Begin (or go on) to look after ``pool``; starts the thread if there is none."""
        with self._guard:
            entry = self._entries.get(id(pool))
            if entry is None or entry.pool() is not pool:
                entry = self._entries[id(pool)] = Entry(self, pool)
            if not self._running:
                self._running = True
                try:
                    self._start()
                except BaseException:
                    self._running = False
                    raise
        entry.soon()
        return entry

    def _start(self) -> None:
        if _green():
            _original("_thread", "start_new_thread")(self._run, ())
        else:
            import threading

            threading.Thread(target=self._run, name="fastpool-keeper", daemon=True).start()

    def forget(self, pool: Pool) -> None:
        """Stop looking after ``pool``."""
        with self._guard:
            entry = self._entries.get(id(pool))
            if entry is None or entry.pool() is not pool:
                return
            del self._entries[id(pool)]
        self.call(entry)

    def call(self, entry: Entry) -> None:
        """Ring for a pool: it is looked after as soon as the thread is awake."""
        self._called.append(entry)
        self.ring()

    def ring(self) -> None:
        """Wake the thread, to see what is due."""
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it rings already

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._running

    @property
    def settled(self) -> bool:
        """Whether all that is due has been done (for tests that move the clock)."""
        # What is looked at first is what changes last: the thread takes what it is called for after it woke.
        due = self._called or any(when <= clock() for when, *_ in self._heap[:1])
        return not self._running or (not due and self._asleep)

    def _run(self) -> None:
        while True:
            nap = self._nap()
            self._asleep = True
            self._bell.acquire(True, nap)
            self._asleep = False
            if sys.is_finalizing():
                return
            while self._called:
                self._schedule(self._called.pop(), 0.0)
            now = clock()
            while self._heap and self._heap[0][0] <= now:
                _, _, rounds, entry = heapq.heappop(self._heap)
                if rounds == entry.rounds:
                    self._attend(entry)
            with self._guard:
                for key in [key for key, entry in self._entries.items() if entry.pool() is None]:
                    del self._entries[key]
                if not self._entries and not self._called:
                    self._running = False
                    self._heap.clear()
                    return

    def _nap(self) -> float:
        if not self._heap:
            return _LONGEST_NAP_S
        left = max(self._heap[0][0] - clock(), 0.0)
        return min(left, _STOPPED_CLOCK_NAP_S if clock_is_stopped() else _LONGEST_NAP_S)

    def _schedule(self, entry: Entry, due: float) -> None:
        entry.rounds += 1
        heapq.heappush(self._heap, (due, next(self._order), entry.rounds, entry))
        if len(self._heap) > 2 * len(self._entries) + 64:  # most of it is out of date
            self._heap = [item for item in self._heap if item[2] == item[3].rounds]
            heapq.heapify(self._heap)

    def _attend(self, entry: Entry) -> None:
        pool = entry.pool()
        if pool is None or pool.closed or self._entries.get(id(pool)) is not entry:
            return
        try:
            due = _upkeep.tend(pool, entry)
        except BaseException:  # a driver's SystemExit must not end the upkeep of all pools
            logger.exception("keeper: looking after pool %r failed; it is tried again in a second", pool.name)
            due = clock() + 1.0
        if due is not None:
            self._schedule(entry, due)


keeper = Keeper()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=keeper._begin_anew)
