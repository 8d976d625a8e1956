"""More cases for _gevent_cases.py: what a waiter costs its hub, and what remains after the wait."""

from __future__ import annotations

import gc
from typing import Any

import gevent
import gevent.event
import gevent.monkey
import greenlet
from gevent.exceptions import LoopExit

from fastpool import NoConnectionsAvailable, PoolDeadlock
from tests.concurrency._green_parts import Parts

start_new_thread = gevent.monkey.get_original("_thread", "start_new_thread")
allocate_lock = gevent.monkey.get_original("_thread", "allocate_lock")


def _watchers() -> int:
    """The number of watchers that keep this hub's loop alive."""
    return int(gevent.get_hub().loop.activecnt)


def case_two_watchers_for_all(pool: Any, parts: Parts) -> None:
    """All waiters of a hub share two watchers; a near deadline has its own; without waiters none is left."""
    before, shared = _watchers(), 2  # a timer, and an async watcher for other threads
    for _ in range(3):
        held = [pool.checkout(), pool.checkout()]
        far = [gevent.spawn(pool.checkout, timeout) for timeout in (None, 20, None, 20) * 5]
        parts.soon(lambda: pool.stats().waiting == 20)
        assert _watchers() == before + shared
        near = [gevent.spawn(pool.checkout, 0.9) for _ in range(3)]
        parts.soon(lambda: pool.stats().waiting == 23)
        assert _watchers() == before + shared + len(near)
        for one in near + far[:10]:
            one.kill()
        assert _watchers() == before + shared
        for one in far[10:]:
            pool.checkin(held.pop(0))
            held.append(one.get(timeout=10))
        assert _watchers() == before
        for c in held:
            pool.checkin(c)
    assert not any(type(one).__name__ == "GreenletHandle" for one in gc.get_objects())
    try:
        gevent.event.Event().wait()
        raise AssertionError("an event that nobody can set was set")
    except LoopExit:
        pass


def case_other_threads_leave_the_loops_count_alone(pool: Any, parts: Parts) -> None:
    """The loop changes its count of watchers without the GIL; if other threads did so, too, a lost count could end the
    loop while greenlets wait."""
    held = [pool.checkout(), pool.checkout()]
    waiting = gevent.spawn(pool.checkout, None)
    parts.soon(lambda: pool.stats().waiting == 1)
    loop, counts, returned = gevent.get_hub().loop, [], allocate_lock()

    def give_back() -> None:
        counts.append(loop.activecnt)
        pool.checkin(held.pop())
        counts.append(loop.activecnt)
        returned.release()

    returned.acquire()
    start_new_thread(give_back, ())
    assert returned.acquire(True, 20)  # a native wait, during which the hub does not run
    assert counts[0] == counts[1]
    held.append(waiting.get(timeout=10))
    for c in held:
        pool.checkin(c)


def case_looks_around(pool: Any, parts: Parts) -> None:
    """A waiter without a deadline finds connections that nobody can return any more; later a second waiter does,
    too."""
    held = [pool.checkout(), pool.checkout()]
    first, second = gevent.spawn(pool.checkout, None), gevent.spawn(pool.checkout, None)
    parts.soon(lambda: pool.stats().waiting == 2)
    held.pop()
    gevent.wait([first, second], timeout=15, count=1)
    assert pool.stats().waiting == 1
    held.pop()
    for waiting in (first, second):
        waiting.get(timeout=15)
    assert pool.stats().closed["error"] == 2
    for waiting in (first, second):
        pool.checkin(waiting.value)


def case_a_wake_for_nobody(pool: Any, parts: Parts) -> None:
    """A greenlet leaves the line just as it is served: the hub's late wake-up does not disturb its next wait."""
    held = [pool.checkout(), pool.checkout()]
    event = gevent.event.Event()
    seen: list[bool] = []

    def leave_and_wait_for_something_else() -> None:
        try:
            pool.checkout(None)
        except gevent.GreenletExit:
            event.wait()
            seen.append(event.is_set())

    one = gevent.spawn(leave_and_wait_for_something_else)
    parts.soon(lambda: pool.stats().waiting == 1)
    one.kill(block=False)
    pool.checkin(held.pop())
    gevent.sleep(0.001)
    assert pool.stats().idle == 1
    gevent.sleep(0.001)
    assert seen == [] and not one.dead
    event.set()
    one.get(timeout=10)
    assert seen == [True]
    pool.checkin(held.pop())


def case_whose_lease(pool: Any, parts: Parts) -> None:
    """A connection taken by the fast path, first by several greenlets, then by a thread's main one, is recorded as
    theirs."""
    with pool.connection() as a, pool.connection() as b:
        pass
    assert {info.owner for info in pool.leases()} == set()
    main = gevent.getcurrent()

    def owners() -> list[bool]:
        with pool.connection():
            (info,) = pool.leases()
            return ["greenlet" in info.owner, info.ended]

    for _ in range(3):
        assert gevent.spawn(owners).get() == [True, False]
        assert owners() == [main.parent is not None, False]
    assert greenlet.greenlet(owners).switch() == [True, False], "of the same class as main ones"
    assert a is not b


def case_deadlock(pool: Any, parts: Parts) -> None:
    """Two greenlets hold one each and wait for another: the second gets PoolDeadlock. After the first leaves the line,
    no deadlock is reported."""
    asks = [gevent.event.Event(), gevent.event.Event()]
    ends = gevent.event.Event()

    def hold_and_ask(n: int, seconds: float) -> str:
        with pool.connection():
            asks[n].wait()
            try:
                pool.checkin(pool.checkout(timeout=seconds))
            except PoolDeadlock:
                return "deadlock"
            except NoConnectionsAvailable:
                return "timeout"
            except gevent.Timeout:
                ends.wait()
                return "gave up"
        return "served"

    both = [gevent.spawn(hold_and_ask, n, 20) for n in (0, 1)]
    parts.soon(lambda: pool.stats().leased == 2)
    asks[0].set()
    parts.soon(lambda: pool.stats().waiting == 1)
    asks[1].set()
    assert both[1].get(timeout=10) == "deadlock"
    assert both[0].get(timeout=10) == "served"
    asks[0].clear()
    asks[1].clear()
    both = [gevent.spawn(hold_and_ask, n, seconds) for n, seconds in enumerate((20, 0.3))]
    parts.soon(lambda: pool.stats().leased == 2)
    asks[0].set()
    parts.soon(lambda: pool.stats().waiting == 1)
    both[0].kill(gevent.Timeout(), block=False)
    parts.soon(lambda: pool.stats().waiting == 0)
    asks[1].set()
    assert both[1].get(timeout=10) == "timeout"
    ends.set()
    assert both[0].get(timeout=10) == "gave up"
