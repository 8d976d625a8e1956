"""Cases for both gevent and eventlet, used by _gevent_cases.py and _eventlet_cases.py."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import greenlet

import fastpool
from fastpool._core import Core, thread_is_alive
from tests.concurrency._green_parts import Parts


def case_hub_runs_on(pool: Any, parts: Parts, api: Any) -> None:
    """While greenlets wait, others run; waiters are served in the order in which they came."""
    held = [pool.checkout(), pool.checkout()]
    order: list[int] = []

    def wait(n: int) -> None:
        with pool.connection():
            order.append(n)

    waiting = []
    for n in range(10):
        waiting.append(api.spawn(wait, n))
        parts.soon(lambda n=n: pool.stats().waiting == n + 1)
    ticks: list[int] = []
    for ticking in [api.spawn(lambda: (api.sleep(0.001), ticks.append(1))) for _ in range(20)]:
        api.wait(ticking)
    assert len(ticks) == 20 and order == []
    pool.checkin(held.pop())
    for one in waiting:
        api.wait(one)
    assert order == list(range(10))
    pool.checkin(held.pop())


def case_nested(pool: Any, parts: Parts, api: Any) -> None:
    """Blocks of one greenlet share a connection; another greenlet of the same thread has its own."""
    seen = []

    def inner() -> None:
        with pool.connection() as a, pool.connection() as b:
            assert a is b
            seen.append(a)
            api.sleep(0.005)

    with pool.connection() as mine:
        other = api.spawn(inner)
        parts.soon(lambda: len(seen) == 1)
        assert seen[0] is not mine, "another greenlet of the same thread shared the lease"
        api.wait(other)


def case_a_circle_over_two_pools(pool: Any, parts: Parts, api: Any) -> None:
    """The greenlet that closes a circle of waits over two pools is told at once; that lets the other one go on."""
    a, b = (fastpool.Pool(object, max_size=1, timeout=20, name=name) for name in "ab")
    ends: list[str] = []

    def take(first: Any, second: Any) -> None:
        with first.connection():
            parts.soon(lambda: a.stats().leased == b.stats().leased == 1)
            try:
                with second.connection():
                    ends.append("entered")
            except fastpool.PoolDeadlock as error:
                ends.append(str(error))

    for one in [api.spawn(take, a, b), api.spawn(take, b, a)]:
        api.wait(one)
    told, entered = ends
    assert entered == "entered"
    assert "holds a lease of pool 'a' and waits for pool 'b'" in told, told
    assert "holds a lease of pool 'b' and waits for pool 'a'" in told, told
    assert told.count("greenlet ") >= 2, told


def case_thread_pool_workers(pool: Any, parts: Parts, api: Any) -> None:
    """Threads of the library's thread pool and greenlets wait in one line."""
    workers = [api.real(lambda: parts.use(100, None)) for _ in range(3)]
    for one in [*[api.spawn(parts.use, 100) for _ in range(6)], *workers]:
        api.wait(one)


def case_connect_goes_on(pool: Any, parts: Parts, api: Any) -> None:
    """A connect that takes longer than its caller's timeout goes on in the caller's hub, because a socket belongs to
    the hub that opened it."""
    hubs: list[Any] = []
    ready: list[bool] = []

    def connect(timeout: float) -> object:
        hubs.append(greenlet.getcurrent().parent)
        until = time.monotonic() + timeout
        while not ready:
            api.sleep(0.001)
            if time.monotonic() >= until:
                raise TimeoutError("connect took too long")
        return object()

    def ask() -> None:
        try:
            slow.checkout(timeout=0.02)
            raise AssertionError("served")
        except fastpool.NoConnectionsAvailable:
            assert slow.stats().connecting <= 1

    slow = fastpool.Pool(connect, close=lambda c: None, max_size=2, max_connecting=1)
    for _ in range(3):
        api.wait(api.spawn(ask))
    assert len(hubs) == 2 and hubs[0] is hubs[1], hubs
    ready.append(True)
    parts.soon(lambda: slow.stats().idle == 1)
    slow.checkin(slow.checkout(timeout=0))
    assert (slow.stats().connecting, slow.stats().connects) == (0, 1)
    slow.close()


def case_several_hubs(pool: Any, parts: Parts, api: Any) -> None:
    """Hubs in several threads on one pool."""

    def hub_of_its_own() -> None:
        for one in [api.spawn(parts.use, 30) for _ in range(4)]:
            api.wait(one)
        api.end_of_thread()

    others = [api.real(hub_of_its_own) for _ in range(2)]
    for one in [*[api.spawn(parts.use, 30) for _ in range(4)], *others]:
        api.wait(one)


def case_no_switch_in_checkin(pool: Any, parts: Parts, api: Any) -> None:
    """A checkin never switches to another greenlet, whatever is waiting."""
    held = [pool.checkout(), pool.checkout()]
    switches: list[Any] = []
    waiting = [api.spawn(parts.use) for _ in range(3)]
    parts.soon(lambda: pool.stats().waiting == 3)
    greenlet.settrace(lambda event, args: switches.append(event))
    for c in held:
        pool.checkin(c)
    greenlet.settrace(None)
    assert switches == [], switches
    for one in waiting:
        api.wait(one)


def timed_out_in_line_and_killed_while_holding(pool: Any, parts: Parts, api: Any) -> None:
    """A waiter is ended by a Timeout of the library and by the pool's own timeout, and a holder is killed in its
    block."""
    held = [pool.checkout(), pool.checkout()]
    try:
        with api.Timeout(0.01):
            pool.checkout(timeout=None)
        raise AssertionError("not timed out")
    except api.Timeout:
        pass
    began = time.monotonic()
    try:
        pool.checkout(timeout=0.05)
        raise AssertionError("not exhausted")
    except fastpool.NoConnectionsAvailable as error:
        assert error.phase == "wait" and time.monotonic() - began >= 0.05
    for c in held:
        pool.checkin(c)
    holder = api.spawn(parts.use, 1, 60)
    parts.soon(lambda: pool.stats().leased == 1)
    holder.kill()
    parts.soon(parts.at_rest)
    assert pool.stats().closed["error"] == 1


def case_in_the_hub(pool: Any, parts: Parts, api: Any) -> None:
    """A checkout that would have to wait is refused in the hub itself; the loop goes on."""
    held = [pool.checkout(), pool.checkout()]
    said: list[str] = []

    def in_hub() -> None:
        try:
            pool.checkout()
        except RuntimeError as error:
            said.append(str(error))

    api.in_hub(in_hub)
    parts.soon(lambda: bool(said))
    assert "hub" in said[0]
    for c in held:
        pool.checkin(c)


def in_a_thread_that_ends(work: Callable[[], Any], parts: Parts, api: Any) -> None:
    """Run ``work`` in a new thread, which then ends and leaves its hub and greenlets as they are."""
    uids: list[int] = []

    def run() -> None:
        uids.append(Core._thread_uid())
        work()

    api.start_thread(run, ())
    parts.soon(lambda: bool(uids) and not thread_is_alive(uids[0]))


def case_waiting_in_a_thread_that_ended(pool: Any, parts: Parts, api: Any) -> None:
    """A greenlet waits on the hub of a thread that ended without destroying it: the hand-off skips it."""
    held = [pool.checkout(), pool.checkout()]

    def leave_one_waiting() -> None:
        waiting = api.spawn(pool.checkout)
        while pool.stats().waiting == 0:
            api.sleep(0)
        assert not api.dead(waiting)

    in_a_thread_that_ends(leave_one_waiting, parts, api)
    for c in held:
        pool.checkin(c)
    parts.soon(parts.at_rest)


def case_holding_in_a_thread_that_ended(pool: Any, parts: Parts, api: Any) -> None:
    """Greenlets are suspended in their blocks for ever, because their thread has ended: their connections are
    replaced."""
    kept: list[Any] = []

    def leave_two_holding() -> None:
        kept.extend([api.spawn(parts.use, 1, 60), api.spawn(parts.use, 1, 60)])
        while pool.stats().leased < 2:
            api.sleep(0)

    in_a_thread_that_ends(leave_two_holding, parts, api)
    assert [info.ended for info in pool.leases()] == [True, True]
    assert all("greenlet" in info.owner and "a thread that has ended" in info.owner for info in pool.leases())
    with pool.connection(timeout=0), pool.connection(timeout=0):
        assert pool.stats().leaks == 2 and pool.stats().closed["error"] == 2


def case_storm(pool: Any, parts: Parts, api: Any) -> None:
    """Random kills and timeouts, greenlets and real threads."""
    rng = random.Random(7)

    def one() -> None:
        try:
            with api.Timeout(rng.choice([None, 0.001, 0.005]), False):
                parts.use(1, rng.choice([0, 0, 0.0005]))
        except fastpool.NoConnectionsAvailable:
            pass

    workers = [api.real(lambda: parts.use(200, None)) for _ in range(2)]
    live: list[Any] = []
    for _ in range(2000):
        live.append(api.spawn(one))
        if rng.random() < 0.3:
            api.kill(rng.choice(live))
        while len(live) > 10:
            api.sleep(0)
            live = [one for one in live if not api.dead(one)]
    parts.soon(lambda: all(api.dead(one) for one in live))
    for worker in workers:
        api.wait(worker)
