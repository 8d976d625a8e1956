"""The keeper: one daemon thread per process that looks after the pools that asked for it.

It sleeps until the earliest deadline of any pool (or until a pool calls), does what is due there, and ends when no
pool needs it any more. It is a real thread with a real lock also where gevent has patched both: a checkin must never
switch greenlets, and waking the keeper is part of some checkins.
"""

from __future__ import annotations

import contextvars
import functools
import heapq
import itertools
import logging
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from . import _upkeep
from ._core import KEEPER_POST, clock, clock_is_stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._config import Config
    from ._pool import Pool

logger = logging.getLogger("fastpool")

_STOPPED_CLOCK_NAP_S = 0.005  # while a test holds the clock: how soon a moved clock is noticed
_LONGEST_NAP_S = 3600.0
_AGAIN_S = 1.0  # after an upkeep that failed unforeseen
_BREATH_S = 0.05  # after a round that failed, so that one that always fails does not burn a processor


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


_start_new_thread = _original("_thread", "start_new_thread")  # looked up now: a call later could import, and wait
_allocate_lock = _original("_thread", "allocate_lock")


class Entry:
    """One pool in the keeper's book."""

    __slots__ = ("_keeper", "failures", "number", "pool", "rounds")

    def __init__(self, keeper: Keeper, pool: Pool) -> None:
        self._keeper = keeper
        self.number = pool._id
        self.pool = weakref.ref(pool, functools.partial(keeper.forget, self.number))
        self.failures = _upkeep.Failures()
        self.rounds = 0  # counts what is due for it, so that an older heap entry is known to be stale

    def soon(self) -> None:
        """Look after the pool now; never blocks, never switches and never fails."""
        self._keeper.call(self)


class Keeper:
    """Deadlines of all pools in a heap, and the thread that meets them.

    Everything here may be interrupted at every line by a signal handler or a finalizer that uses, makes or closes a
    pool, and by an exception out of one. So there is no lock: what is shared is changed by single operations of dicts
    and lists, and the thread is started by compiled code.
    """

    def __init__(self) -> None:
        self._begin_anew()

    def _begin_anew(self) -> None:
        KEEPER_POST.forget()
        self._entries: dict[int, Entry] = {}  # by the pool's number
        self._heap: list[tuple[float, int, int, Entry]] = []
        self._order = itertools.count()
        self._called: list[Entry] = []  # appended by whoever calls, emptied by the thread
        self._bell = _allocate_lock()
        self._bell.acquire()
        self._asleep = False
        self._refused = False

    def look_after(self, pool: Pool) -> Entry:
        """Begin (or go on) to look after ``pool``. RuntimeError if a thread is needed and none can be started."""
        entry = self._entries.get(pool._id) or self._entries.setdefault(pool._id, Entry(self, pool))
        self._called.append(entry)
        self._start()
        self.ring()
        return entry

    def _start(self) -> None:
        """See that the thread is there."""
        if KEEPER_POST.held:
            return
        if _green():
            KEEPER_POST.fill(_start_new_thread, self._run)
        else:
            limbo, thread = _named("fastpool-keeper", self._run)
            KEEPER_POST.fill(_start_new_thread, thread._bootstrap, limbo, thread)
        self._refused = False

    def forget(self, number: int, _: object = None) -> None:
        """Stop looking after the pool of this number (its weak reference calls this, too)."""
        if self._entries.pop(number, None) is not None:
            self.ring()

    def call(self, entry: Entry) -> None:
        """Ring for a pool: it is looked after as soon as the thread is awake."""
        self._called.append(entry)
        try:
            self._start()
        except Exception as error:
            self.not_started(error)
        self.ring()

    def not_started(self, error: Exception) -> None:
        """Say, once, that there is no thread; whoever needs it next tries again."""
        if not self._refused:
            self._refused = True
            try:
                logger.warning(
                    "keeper: its thread could not be started; pools are not looked after until it can: %s", error
                )
            except Exception:
                pass  # a handler that raises: a checkout that has its connection must not fail for that

    def ring(self) -> None:
        """Wake the thread, to see what is due."""
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it rings already

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return KEEPER_POST.held

    @property
    def settled(self) -> bool:
        """Whether all that is due has been done (for tests that move the clock)."""
        # What is looked at first is what changes last: the thread takes what it is called for after it woke.
        due = self._called or any(when <= clock() for when, *_ in self._heap[:1])
        return not self.running or (not due and self._asleep)

    def _run(self) -> None:
        while True:
            try:
                # Nobody knows what was in hand, and which ring was heard, when the round before ended.
                self._called.extend(self._entries.values())
                self.ring()
                while not self._round():
                    pass
                return
            except BaseException as error:  # whatever it is, and whoever raised it in this thread: the pools need it
                _log("keeper: a round failed, and all pools are looked at again: %r", error)
                self._asleep = False
                self._bell.acquire(True, _BREATH_S)

    def _round(self) -> bool:
        """Sleep until something is due, and do it. True: no pool needs this thread any more."""
        nap = self._nap()
        self._asleep = True
        self._bell.acquire(True, nap)
        self._asleep = False
        if sys.is_finalizing():
            return True
        while self._called:
            self._schedule(self._called.pop(), 0.0)
        now = clock()
        while self._heap and self._heap[0][0] <= now:
            _, _, rounds, entry = heapq.heappop(self._heap)
            if rounds == entry.rounds:
                self._attend(entry)
        if self._entries or self._called:
            return False
        self._heap.clear()
        KEEPER_POST.resign()
        if self._entries or self._called:  # of somebody who saw the thread still there
            self._start()
        return True

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
        if pool is None or self._entries.get(entry.number) is not entry:
            return
        if pool.closed:
            self._entries.pop(entry.number, None)
            return
        try:
            due = _upkeep.tend(pool, entry)
        except BaseException as error:  # a driver's SystemExit must not end the upkeep of all pools
            due = clock() + _AGAIN_S
            _log("keeper: looking after pool %r failed; it is tried again in a second", pool.name, error=error)
        if due is not None:
            self._schedule(entry, due)


def _named(name: str, work: Callable[[], None]) -> tuple[dict[Any, Any], Any]:
    """Give threading's book of threads that are about to be, and a thread for it, so that it is listed by its name.

    Its own `start` would wait for the thread, with a lock in hand that the thread's own finalizers may want.
    """
    import threading

    thread: Any = threading.Thread(target=work, name=name, daemon=True)
    if hasattr(thread, "_context"):  # from 3.14 on: not the context of whoever happens to be the first to need it
        thread._context = contextvars.Context()
    return threading._limbo, thread  # type: ignore[attr-defined]


def _log(text: str, *args: object, error: BaseException | None = None) -> None:
    """Log in the keeper's own thread, which a handler that raises must not end, whatever it raises."""
    try:
        logger.warning(text, *args, exc_info=error)
    except BaseException:
        pass  # there is nobody left to tell


keeper = Keeper()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=keeper._begin_anew)
