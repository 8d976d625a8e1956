"""Cases under gevent, each in a process of its own: ``python _gevent_cases.py CASE WHEN`` exits with 0 on success.

WHEN says when monkey-patching happens: before the pool is made, after it, or never. Further cases are in
_green_alike.py, shared with eventlet, and in _gevent_line.py.
"""

from __future__ import annotations

import sys
import threading as real_threading
import time
from typing import Any

case, when = sys.argv[1:3]
real_thread, real_event = real_threading.Thread, real_threading.Event
if when == "before":
    import gevent.monkey

    gevent.monkey.patch_all()

import fastpool  # noqa: E402
from tests._slots import in_hand  # noqa: E402
from tests.concurrency._green import Gevent  # noqa: E402
from tests.concurrency._green_parts import Parts, Thing  # noqa: E402

pool = fastpool.Pool(Thing, max_size=2, timeout=20, nested=case == "nested")
with pool.connection():
    pass  # the main greenlet uses the pool before anything is patched
if when == "after":
    import gevent.monkey

    gevent.monkey.patch_all()

import gevent  # noqa: E402
import gevent.event  # noqa: E402
import gevent.threadpool  # noqa: E402

api = Gevent()
parts = Parts(pool, api.sleep)
soon, at_rest, use = parts.soon, parts.at_rest, parts.use


def case_raw_greenlets() -> None:
    """Raw greenlets without a hub: leases nest per greenlet, and a greenlet that would wait for itself gets
    PoolDeadlock."""
    import greenlet

    main = greenlet.getcurrent()

    def hold() -> None:
        with pool.connection() as c:
            with pool.connection() as d:
                main.switch((c, d))

    def take() -> None:
        with pool.connection():
            main.switch()

    def ask_for_one_more() -> None:
        try:
            with pool.connection(), pool.connection(), pool.connection(timeout=None):
                raise AssertionError("a third of two")
        except fastpool.PoolDeadlock:
            told.append(1)

    told: list[int] = []
    holder = greenlet.greenlet(hold)
    (c, d) = holder.switch()
    assert c is not d
    holder.switch()
    greenlet.greenlet(ask_for_one_more).switch()
    assert told == [1]
    assert at_rest()
    # Both leases belong to other greenlets, which cannot run while their thread sleeps in line.
    holders = [greenlet.greenlet(take), greenlet.greenlet(take)]
    holders[0].switch(), holders[1].switch()
    try:
        pool.checkout(timeout=20)
        raise AssertionError("a third of two")
    except fastpool.PoolDeadlock:
        holders[0].switch(), holders[1].switch()
    assert at_rest()


def case_timeout_and_kill() -> None:
    """Timeout and kill while waiting, exactly at the hand-off, and while holding."""
    from tests.concurrency._green_alike import timed_out_in_line_and_killed_while_holding

    for _ in range(50):
        held = [pool.checkout(), pool.checkout()]
        first, second = gevent.spawn(pool.checkout), gevent.spawn(pool.checkout)
        soon(lambda: pool.stats().waiting == 2)
        first.kill(block=False)  # takes effect in the next iteration of the loop
        pool.checkin(held.pop())  # handed to the first, which is killed before it can run
        got = second.get(timeout=10)
        assert isinstance(first.get(), gevent.GreenletExit)
        pool.checkin(got)
        pool.checkin(held.pop())
        assert at_rest()
    timed_out_in_line_and_killed_while_holding(pool, parts, api)


def case_no_loop_exit() -> None:
    """A real thread holds the last connections and nothing else keeps the hub's loop alive."""
    taken = [pool.checkout(), pool.checkout()]

    def give_back() -> None:
        deadline = time.monotonic() + 10
        while pool.stats().waiting == 0 and time.monotonic() < deadline:
            pass
        real_sleep(0.05)  # late, so that a loop without watchers would have ended
        pool.checkin(taken[0])

    real_sleep = gevent.monkey.get_original("time", "sleep")

    api.start_thread(give_back, ())
    assert pool.checkout(timeout=None) is taken[0]
    for c in taken:
        pool.checkin(c)


def case_dead_hub() -> None:
    """A greenlet waits on a hub that is destroyed: the next waiter gets the connection."""
    held = [pool.checkout(), pool.checkout()]

    def other() -> None:
        gevent.spawn(pool.checkout)
        deadline = time.monotonic() + 10
        while pool.stats().waiting == 0 and time.monotonic() < deadline:
            gevent.sleep(0)
        gevent.get_hub().destroy(destroy_loop=True)

    api.wait(api.real(other))
    for c in held:
        pool.checkin(c)
    again = [pool.checkout(timeout=1), pool.checkout(timeout=1)]
    for c in again:
        pool.checkin(c)


def case_served_in_a_thread_that_ended() -> None:
    """A slot was handed to a greenlet whose thread ended before it ran again: the next caller gets the slot."""
    from tests.concurrency._green_alike import in_a_thread_that_ends

    held = [pool.checkout(), pool.checkout()]

    def leave_one_served() -> None:
        gevent.spawn(pool.checkout)
        while pool.stats().waiting == 0:
            gevent.sleep(0)
        pool.checkin(held.pop())

    in_a_thread_that_ends(leave_one_served, parts, api)
    assert pool.stats().waiting == 0 and in_hand(pool) == 1
    pool.checkin(pool.checkout(timeout=0))
    pool.checkin(held.pop())


def case_fork_in_a_greenlet() -> None:
    """fork while a greenlet waits: in the child it checks out again, from a pool with free slots."""
    import os

    held = [pool.checkout(), pool.checkout()]
    got: list[Any] = []
    waiting = gevent.spawn(lambda: got.append(pool.checkout()))
    soon(lambda: pool.stats().waiting == 1)
    # Fork_and_watch installs it after the fork, when the child may have ended already
    gevent.get_hub().loop.install_sigchld()
    pid = gevent.os.fork_and_watch()  # the hub reaps all children
    if pid == 0:
        code = 1
        try:
            waiting.get(timeout=10)
            assert got[0] not in held
            use()
            pool.checkin(got[0])
            assert at_rest(), pool
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    while True:
        done, status = gevent.os.waitpid(pid, os.WNOHANG)
        if done:
            break
        assert time.monotonic() < deadline
        gevent.sleep(0.002)
    assert os.waitstatus_to_exitcode(status) == 0
    assert got == [] and pool.stats().waiting == 1
    pool.checkin(held[0])
    waiting.get(timeout=10)
    assert got == [held[0]]
    for c in held:
        pool.checkin(c)


import gevent.os  # noqa: E402

if "case_" + case in globals():
    globals()["case_" + case]()
else:
    # Imported late: they import greenlet, and the pool must be older
    from tests.concurrency import _gevent_line, _green_alike

    if hasattr(_green_alike, "case_" + case):
        getattr(_green_alike, "case_" + case)(pool, parts, api)
    else:
        getattr(_gevent_line, "case_" + case)(pool, parts)
soon(at_rest)
both = [pool.checkout(timeout=1), pool.checkout(timeout=1)]
assert both[0] is not both[1]
for one in both:
    pool.checkin(one)
print("well")
