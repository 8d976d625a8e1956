"""Cases under eventlet, each in a process of its own: ``python _eventlet_cases.py CASE WHEN`` prints "well" on success.

WHEN says when monkey-patching happens: before the pool is made, after it, or never. This file and _green_alike.py have
the cases of gevent that apply to eventlet; a hub of eventlet cannot be destroyed, and does not survive a fork.
"""

from __future__ import annotations

import sys
import time

import eventlet

case, when = sys.argv[1:3]
if when == "before":
    eventlet.monkey_patch()

import fastpool  # noqa: E402
from tests.concurrency._green import Eventlet  # noqa: E402
from tests.concurrency._green_parts import Parts, Thing  # noqa: E402

pool = fastpool.Pool(Thing, max_size=2, timeout=20, nested=case == "nested")
with pool.connection():
    pass  # the main greenlet uses the pool before anything is patched
if when == "after":
    eventlet.monkey_patch()

import greenlet  # noqa: E402

api = Eventlet()
parts = Parts(pool, api.sleep)
soon, at_rest, use = parts.soon, parts.at_rest, parts.use


def case_timeout_and_kill() -> None:
    """Timeout and kill while waiting, exactly at the hand-off, and while holding."""
    from tests.concurrency._green_alike import timed_out_in_line_and_killed_while_holding

    for _ in range(50):
        held = [pool.checkout(), pool.checkout()]
        first, second = eventlet.spawn(pool.checkout), eventlet.spawn(pool.checkout)
        soon(lambda: pool.stats().waiting == 2)
        pool.checkin(held.pop())  # handed to the first waiter
        first.kill()  # before it can run
        pool.checkin(second.wait())
        try:
            first.wait()
            raise AssertionError("not killed")
        except greenlet.GreenletExit:
            pass
        pool.checkin(held.pop())
        assert at_rest(), pool
    timed_out_in_line_and_killed_while_holding(pool, parts, api)


def case_woken_by_a_thread() -> None:
    """A real thread holds the last connections, the hub is otherwise idle, and the wait has no deadline."""
    taken = [pool.checkout(), pool.checkout()]

    def give_back() -> None:
        deadline = time.monotonic() + 10
        while pool.stats().waiting == 0 and time.monotonic() < deadline:
            pass
        pool.checkin(taken[0])

    took: list[float] = []
    while not took or (min(took) > 0.9 and len(took) < 6):  # the best of several, because the machine may be busy
        began = time.monotonic()
        api.start_thread(give_back, ())
        assert pool.checkout(timeout=None) is taken[0]
        took.append(time.monotonic() - began)
    assert min(took) < 0.9, "it was found by the look of once a second, not woken"
    for c in taken:
        pool.checkin(c)


if "case_" + case in globals():
    globals()["case_" + case]()
else:
    from tests.concurrency import _green_alike

    getattr(_green_alike, "case_" + case)(pool, parts, api)
soon(at_rest)
both = [pool.checkout(timeout=1), pool.checkout(timeout=1)]
assert both[0] is not both[1]
for one in both:
    pool.checkin(one)
print("well")
