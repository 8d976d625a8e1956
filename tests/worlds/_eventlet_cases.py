"""What is tried under eventlet, in a process of its own: ``python _eventlet_cases.py CASE WHEN`` says "well" if it is.

WHEN says when monkey-patching happens: before the pool is made, after it, or never. The cases are those of
_gevent_cases.py where eventlet has the same thing: it knows no end of a hub, and its hub does not survive a fork.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from typing import Any

import eventlet

case, when = sys.argv[1:3]
if when == "before":
    eventlet.monkey_patch()

import fastpool  # noqa: E402
from fastpool._core import Core, thread_is_alive  # noqa: E402
from tests.worlds._green_parts import Parts, Thing  # noqa: E402

pool = fastpool.Pool(Thing, max_size=2, timeout=20, nested=case == "nested")
with pool.connection():
    pass  # the main greenlet knows the pool before anything is patched
if when == "after":
    eventlet.monkey_patch()

import eventlet.hubs  # noqa: E402
import eventlet.patcher  # noqa: E402
import eventlet.tpool  # noqa: E402
import greenlet  # noqa: E402

start_thread = eventlet.patcher.original("_thread").start_new_thread  # a thread, whatever is patched


def real(work: Callable[[], Any]) -> Any:
    """Do ``work`` in eventlet's thread pool: a real thread, without a hub of its own at first."""
    return eventlet.spawn(eventlet.tpool.execute, work)


parts = Parts(pool, eventlet.sleep)
soon, at_rest, use = parts.soon, parts.at_rest, parts.use


def case_hub_runs_on() -> None:
    """While greenlets wait, others run; and they are served in the order in which they came."""
    held = [pool.checkout(), pool.checkout()]
    order: list[int] = []

    def wait(n: int) -> None:
        with pool.connection():
            order.append(n)

    waiting = []
    for n in range(10):
        waiting.append(eventlet.spawn(wait, n))
        soon(lambda n=n: pool.stats().waiting == n + 1)
    ticks: list[int] = []
    for ticking in [eventlet.spawn(lambda: (eventlet.sleep(0.001), ticks.append(1))) for _ in range(20)]:
        ticking.wait()
    assert len(ticks) == 20 and order == []
    pool.checkin(held.pop())
    for one in waiting:
        one.wait()
    assert order == list(range(10))
    pool.checkin(held.pop())


def case_nested() -> None:
    seen = []

    def inner() -> None:
        with pool.connection() as a, pool.connection() as b:
            assert a is b
            seen.append(a)
            eventlet.sleep(0.005)

    with pool.connection() as mine:
        other = eventlet.spawn(inner)
        soon(lambda: len(seen) == 1)
        assert seen[0] is not mine, "another greenlet of the same thread shared the lease"
        other.wait()


def case_timeout_and_kill() -> None:
    """Timeout and kill while waiting, at the very hand-off, and while holding."""
    for _ in range(50):
        held = [pool.checkout(), pool.checkout()]
        first, second = eventlet.spawn(pool.checkout), eventlet.spawn(pool.checkout)
        soon(lambda: pool.stats().waiting == 2)
        pool.checkin(held.pop())  # handed to the first
        first.kill()  # at once: before it can run
        pool.checkin(second.wait())
        try:
            first.wait()
            raise AssertionError("not killed")
        except greenlet.GreenletExit:
            pass
        pool.checkin(held.pop())
        assert at_rest(), pool
    held = [pool.checkout(), pool.checkout()]
    try:
        with eventlet.Timeout(0.01):
            pool.checkout(timeout=None)
        raise AssertionError("not timed out")
    except eventlet.Timeout:
        pass
    began = time.monotonic()
    try:
        pool.checkout(timeout=0.05)
        raise AssertionError("not exhausted")
    except fastpool.NoConnectionsAvailable as error:
        assert error.phase == "wait" and time.monotonic() - began >= 0.05
    for c in held:
        pool.checkin(c)
    holder = eventlet.spawn(use, 1, 60)
    soon(lambda: pool.stats().leased == 1)
    holder.kill()
    soon(at_rest)
    assert pool.stats().closed["error"] == 1


def case_woken_by_a_thread() -> None:
    """A real thread holds the last connections, nothing else happens in the hub, and the wait has no end."""
    taken = [pool.checkout(), pool.checkout()]

    def give_back() -> None:
        deadline = time.monotonic() + 10
        while pool.stats().waiting == 0 and time.monotonic() < deadline:
            pass
        pool.checkin(taken[0])

    took: list[float] = []
    while not took or (min(took) > 0.9 and len(took) < 6):  # at its best: the machine may stand still
        began = time.monotonic()
        start_thread(give_back, ())
        assert pool.checkout(timeout=None) is taken[0]
        took.append(time.monotonic() - began)
    assert min(took) < 0.9, "it was found by the look of once a second, not woken"
    for c in taken:
        pool.checkin(c)


def case_thread_pool_workers() -> None:
    """Workers of eventlet's thread pool and greenlets in one line."""
    workers = [real(lambda: use(100, None)) for _ in range(3)]
    for one in [*[eventlet.spawn(use, 100) for _ in range(6)], *workers]:
        one.wait()


def case_several_hubs() -> None:
    """Hubs in several threads on one pool."""

    def hub_of_its_own() -> None:
        for one in [eventlet.spawn(use, 30) for _ in range(4)]:
            one.wait()

    others = [real(hub_of_its_own) for _ in range(2)]
    for one in [*[eventlet.spawn(use, 30) for _ in range(4)], *others]:
        one.wait()


def case_no_switch_in_checkin() -> None:
    """A checkin lets nobody else run, whoever waits."""
    held = [pool.checkout(), pool.checkout()]
    switches: list[Any] = []
    waiting = [eventlet.spawn(use) for _ in range(3)]
    soon(lambda: pool.stats().waiting == 3)
    greenlet.settrace(lambda event, args: switches.append(event))
    for c in held:
        pool.checkin(c)
    greenlet.settrace(None)
    assert switches == [], switches
    for one in waiting:
        one.wait()


def case_in_the_hub() -> None:
    """A checkout that must wait is refused in the hub itself; the loop lives on."""
    held = [pool.checkout(), pool.checkout()]
    said: list[str] = []

    def in_hub() -> None:
        try:
            pool.checkout()
        except RuntimeError as error:
            said.append(str(error))

    eventlet.hubs.get_hub().schedule_call_global(0, in_hub)
    soon(lambda: bool(said))
    assert "hub" in said[0]
    for c in held:
        pool.checkin(c)


def in_a_thread_that_ends(work: Callable[[], Any]) -> None:
    """Do ``work`` in a thread of its own, which then ends and leaves its hub, and all greenlets there, as they are."""
    uids: list[int] = []

    def run() -> None:
        uids.append(Core._thread_uid())
        work()

    start_thread(run, ())
    soon(lambda: bool(uids) and not thread_is_alive(uids[0]))


def case_waiting_in_a_thread_that_ended() -> None:
    """A greenlet waits on the hub of a thread that ended: it is passed over."""
    held = [pool.checkout(), pool.checkout()]

    def leave_one_waiting() -> None:
        eventlet.spawn(pool.checkout)
        while pool.stats().waiting == 0:
            eventlet.sleep(0)

    in_a_thread_that_ends(leave_one_waiting)
    for c in held:
        pool.checkin(c)
    soon(at_rest)


def case_holding_in_a_thread_that_ended() -> None:
    """Greenlets suspended in their blocks for ever, as their thread has ended: others are connected instead."""
    kept: list[Any] = []

    def leave_two_holding() -> None:
        kept.extend([eventlet.spawn(use, 1, 60), eventlet.spawn(use, 1, 60)])
        while pool.stats().leased < 2:
            eventlet.sleep(0)

    in_a_thread_that_ends(leave_two_holding)
    assert [info.ended for info in pool.leases()] == [True, True]
    with pool.connection(timeout=0), pool.connection(timeout=0):
        assert pool.stats().leaks == 2 and pool.stats().closed["error"] == 2


def case_storm() -> None:
    """Random kills and timeouts, greenlets and real threads."""
    rng = random.Random(7)

    def one() -> None:
        try:
            with eventlet.Timeout(rng.choice([None, 0.001, 0.005]), False):
                use(1, rng.choice([0, 0, 0.0005]))
        except fastpool.NoConnectionsAvailable:
            pass

    workers = [real(lambda: use(200, None)) for _ in range(2)]
    live: list[Any] = []
    for _ in range(1000):
        live.append(eventlet.spawn(one))
        if rng.random() < 0.3:
            rng.choice(live).kill()
        while len(live) > 10:
            eventlet.sleep(0)
            live = [g for g in live if not g.dead]
    soon(lambda: all(g.dead for g in live))
    for worker in workers:
        worker.wait()


globals()["case_" + case]()
soon(at_rest)
both = [pool.checkout(timeout=1), pool.checkout(timeout=1)]
assert both[0] is not both[1]
for one in both:
    pool.checkin(one)
print("well")
