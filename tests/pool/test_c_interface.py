"""The C interface: native threads check connections out and in, without the GIL, beside Python's threads."""

from __future__ import annotations

import gc
import sys
import sysconfig
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any
from weakref import ref

import pytest

import fastpool
from fastpool.testing import VirtualClock
from tests.core.native import ROOT, load
from tests.pool.fake_driver import Failure, FakeDriver, Plain, Run, balanced, holding, until, waiting
from tests.process._scripts import run

if sys.platform == "win32":
    pytest.skip("the test extension runs on POSIX threads", allow_module_level=True)
user = load("_native_user", "tests/_native_user.pyx")
Held = user.Held
CLEAN = {"doubles": 0, "refused": 0, "stuck": False}


def opened(pool: fastpool.Pool) -> Any:
    """The pool as native code sees it, all of its connections open."""
    pool.warm()
    return user.Native(pool)


def test_a_checkout_and_a_checkin() -> None:
    driver = Plain()
    pool = driver.pool(max_size=2)
    native, held = user.Native(pool), Held()
    assert native.checkout(held, 1) == ("ok", "")  # connects: native code may be the first user
    assert native.connection(held) is driver.made[0]
    assert (pool.stats().leased, pool.stats().idle) == (1, 0)
    (info,) = pool.leases()
    assert (info.slot, info.depth) == (0, 1)
    assert native.checkin(held) == "ok"
    assert native.checkout(held, 1) == ("ok", "") and native.connection(held) is driver.made[0]
    assert native.checkin(held, discard=True) == "ok"
    assert driver.made[0].closed and balanced(pool).closed["discarded"] == 1
    native.close()


def test_what_is_plain_needs_no_gil() -> None:
    """With more threads than connections, waiting and handing over need no GIL either; it is withheld from all of
    them."""
    pool = Plain().pool(max_size=3)
    native, held = opened(pool), [Held() for _ in range(3)]
    assert [native.checkout(one)[0] for one in held] == ["ok"] * 3

    def all_in_line() -> None:
        waiting(pool, 8)
        assert [native.checkin(one) for one in held] == ["ok"] * 3

    assert native.run_threads(8, 2000, keep_gil=True, begun=all_in_line) == CLEAN | {"ok": 16000}
    stats = balanced(pool)
    assert (stats.checkouts, stats.leased, stats.idle) == (16003, 0, 3)
    assert stats.wait.count >= stats.waits >= 8
    native.close()


@pytest.mark.parametrize("size", [1, 3, 8])
def test_native_threads_beside_python_threads(size: int) -> None:
    driver = Plain()
    pool = driver.pool(max_size=size, timeout=20)
    native = opened(pool)
    doubles = []

    def hint(c: Any) -> None:
        c.holders += 1
        time.sleep(0)  # other threads run meanwhile
        if c.holders != 1:
            doubles.append(c)
        c.holders -= 1

    def work() -> None:
        for _ in range(300):
            with pool.connection() as c:
                hint(c)

    python = [Run(work) for _ in range(4)]
    said = native.run_threads(4, 3000, 20, every=10, hint=hint)
    for one in python:
        one.result()
    assert said == CLEAN | {"ok": 12000} and not doubles
    stats = balanced(pool)
    assert (stats.checkouts, stats.checkins, stats.size) == (13200, 13200, size)
    native.close()


def test_all_that_can_go_wrong_at_once() -> None:
    """Short timeouts, failing connects, and a pool that is resized, cleared and used meanwhile."""
    driver = FakeDriver()
    pool = driver.pool(max_size=3, max_uses=50, check_after=0)
    native = user.Native(pool)
    stop = threading.Event()
    held = []

    def shake() -> None:
        while not stop.is_set():
            for size in (1, 4, 2):
                pool.resize(max_size=size)
                pool.clear()
                driver.connecting.mode = Failure("refused") if driver.connecting.mode == "ok" else "ok"
                with suppress(Failure, fastpool.NoConnectionsAvailable), pool.connection(timeout=0.002):
                    held.append(size)
                    time.sleep(0.004)  # longer than any wait

    shaking = Run(shake)
    said: Counter[str] = Counter()
    rounds = 0
    while rounds < 50 and not (said["ok"] and said["timed out"] and said["failed"]):  # its duration is random
        said.update(native.run_threads(6, 400, 0.002))
        rounds += 1
    stop.set()
    shaking.result()
    driver.connecting.mode = "ok"
    assert said["ok"] + said["timed out"] + said["failed"] == rounds * 2400, said
    assert said["ok"] and said["timed out"] and said["failed"], said
    assert (said["doubles"], said["refused"]) == (0, 0)
    assert balanced(pool).checkouts == said["ok"] + len(held) and pool.stats().leased == 0
    native.close()


def test_native_waiters_are_served_in_line() -> None:
    pool = Plain().pool(max_size=1, timeout=20)
    native = opened(pool)
    order: list[int] = []

    def natively(number: int) -> None:
        assert native.run_threads(1, 1, 20, every=1, hint=lambda c: order.append(number))["ok"] == 1

    def in_python(number: int) -> None:
        with pool.connection():
            order.append(number)

    with holding(pool) as (holder,):
        runs = []
        for number in range(6):
            runs.append(Run(natively if number % 2 else in_python, number))
            waiting(pool, number + 1)
        holder.end()
        for one in runs:
            one.result()
    assert order == [0, 1, 2, 3, 4, 5]
    native.close()


def test_a_waiter_looks_for_lost_leases() -> None:
    """A block whose thread has ended is reported, even if only native code waits."""
    pool = Plain().pool(max_size=1)
    native = opened(pool)
    lease = pool.connection()
    Run(lease.__enter__).result()
    late = Run(native.run_threads, 1, 1, 20)
    until(lambda: pool.stats().leaks == 1, "a report")
    lease.__exit__(None, None, None)
    assert late.result() == CLEAN | {"ok": 1}
    native.close()


def test_a_wait_that_begins_with_the_gil_releases_it() -> None:
    pool = Plain().pool(max_size=1)
    native, held = opened(pool), Held()
    with holding(pool) as (holder,):
        returning = Run(lambda: (waiting(pool, 1), holder.end()))
        assert native.checkout(held, 20, with_gil=True) == ("ok", "")
        returning.result()
    assert native.checkin(held) == "ok"
    native.close()


def test_a_wait_that_is_too_long() -> None:
    pool = Plain().pool(max_size=1)
    native, held = opened(pool), Held()
    with holding(pool):
        began = time.monotonic()
        outcome, why = native.checkout(held, 0.05)
        assert time.monotonic() - began >= 0.05
        assert outcome == "timed out" and why.startswith("no connection came free within 0.05"), why
        assert (pool.stats().waits, pool.stats().timeouts) == (1, 1)
        assert native.checkout(held, 0)[0] == "timed out"
        assert (pool.stats().waits, pool.stats().timeouts, pool.stats().waiting) == (1, 2, 0)
    assert native.checkout(held, 0)[0] == "ok" and native.checkin(held) == "ok"
    native.close()


def test_a_connect_that_fails_says_why_and_costs_no_slot() -> None:
    driver = Plain()
    pool = driver.pool(max_size=1)
    native, held = user.Native(pool), Held()
    driver.connecting.mode = Failure("the server is not in: é")
    assert native.checkout(held, 1) == ("failed", "Failure: the server is not in: é")
    driver.connecting.mode = Failure("é" * 200)
    outcome, why = native.checkout(held, 1)  # cut off, and not within a character
    assert outcome == "failed" and set(why.removeprefix("Failure: ")) == {"é"} and len(why) > 50
    assert native.run_threads(1, 1, 1) == CLEAN | {"failed": 1}
    driver.connecting.mode = "ok"
    assert native.checkout(held, 1) == ("ok", "") and native.checkin(held) == "ok"
    assert balanced(pool).connect_errors == 3
    native.close()


def test_closed_pools() -> None:
    driver = Plain()
    pool = driver.pool(max_size=1)
    native, held = opened(pool), Held()
    assert native.checkout(held)[0] == "ok"
    late = Run(native.run_threads, 2, 1)
    waiting(pool, 2)
    pool.close(timeout=0)
    assert late.result() == CLEAN | {"closed": 2}
    assert driver.made[0].closed  # released from native code, too
    with pytest.raises(fastpool.PoolClosed, match="took this connection back"):
        native.connection(held)
    assert native.checkin(held) == "ok"
    assert native.checkout(held)[0] == "closed"
    native.close()


def test_a_connection_that_is_returned_to_a_closed_pool_is_closed() -> None:
    driver = Plain()
    pool = driver.pool(max_size=2)
    native, held = opened(pool), Held()
    assert native.checkout(held)[0] == "ok"
    pool.close()
    assert [c.closed for c in driver.made] == [False, True] or [c.closed for c in driver.made] == [True, False]
    assert native.checkin(held) == "ok"
    assert all(c.closed for c in driver.made)
    native.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_uses": 1}, "max_uses"),
        ({"max_idle": 0}, "max_idle"),
        ({"max_lifetime": 10.0}, "lifetime"),
        ({"idle_timeout": 10.0}, "idle"),
    ],
)
def test_limits_hold(options: dict[str, Any], reason: str) -> None:
    with VirtualClock() as clock:
        pool = Plain().pool(max_size=1, **options)
        native, held = opened(pool), Held()
        for _ in range(3):
            assert native.checkout(held, 5)[0] == "ok"
            assert native.checkin(held) == "ok"
            clock.advance(11)
        assert balanced(pool).closed[reason] >= 2
        native.close()
        pool.close()


def test_what_died_or_was_cleared_is_replaced() -> None:
    driver = FakeDriver()
    pool = driver.pool(max_size=1, check_after=0)
    native, held = opened(pool), Held()
    driver.made[0].dead = True
    assert native.checkout(held)[0] == "ok" and native.connection(held) is driver.made[1]
    pool.clear()
    assert native.checkin(held) == "ok" and driver.made[1].closed
    assert native.checkout(held)[0] == "ok" and native.connection(held) is driver.made[2]
    assert native.checkin(held) == "ok" and driver.resetting.calls == 1
    assert (balanced(pool).closed["dead"], pool.stats().closed["cleared"]) == (1, 1)
    native.close()


def test_listeners_and_max_waiting_count_native_callers() -> None:
    told: list[str] = []
    names = ("checkout_started", "checked_out", "checked_in", "wait_started", "checkout_failed")
    listener = {name: lambda event: told.append(event.name) for name in names}
    pool = Plain().pool(max_size=1, max_waiting=1, listeners=[listener])
    native, held, second = opened(pool), Held(), Held()
    assert native.checkout(held)[0] == "ok"
    with_one_waiting = Run(native.checkout, Held(), 20)
    waiting(pool, 1)
    outcome, why = native.checkout(second, 5)
    assert outcome == "overloaded" and "max_waiting is 1" in why
    assert native.checkin(held) == "ok"
    assert with_one_waiting.result()[0] == "ok"
    assert [told.count(name) for name in names] == [3, 2, 1, 1, 1]


def test_a_native_lease_is_no_block_of_its_thread() -> None:
    pool = Plain().pool(max_size=2, nested=True)
    native, held = opened(pool), Held()
    assert native.checkout(held)[0] == "ok"
    mine = native.connection(held)
    with pool.connection() as c:
        assert c is not mine
        # and no deadlock is concluded: any thread may return it
        with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
            pool.checkout(timeout=0.01)
        assert not isinstance(caught.value, fastpool.PoolDeadlock)
    with pytest.raises(fastpool.LeaseError, match="held by native code"):
        pool.checkin(mine)
    assert Run(native.checkin, held).result() == "ok"
    balanced(pool)
    native.close()


def test_misuse_is_answered() -> None:
    pool, other = Plain().pool(max_size=2), Plain().pool(max_size=2)
    native, foreign, held = opened(pool), opened(other), Held()
    assert native.without() == ["misuse"] * 4
    assert native.checkin(held) == "misuse"  # holds nothing
    outcome, why = native.checkout(held, float("nan"))
    assert (outcome, why) == ("misuse", "the timeout is not a number")
    assert native.checkout(held)[0] == "ok"
    assert native.checkout(held)[0] == "misuse"  # holds one
    assert foreign.checkin(held) == "misuse"  # another pool's
    with pytest.raises(fastpool.LeaseError, match="does not belong to pool"):
        foreign.connection(held)
    copy = held.copy()
    assert native.checkin(held) == "ok" and native.checkin(held) == "misuse"
    assert native.checkin(copy) == "misuse"  # it is ended
    spoilt = Held()
    spoilt.spoil()
    assert native.checkout(spoilt)[0] == "misuse"
    with pytest.raises(fastpool.LeaseError, match="holds no connection"):
        native.connection(held)
    assert balanced(pool).checkins == 1
    native.close()
    foreign.close()


def test_opening_and_closing() -> None:
    pool = Plain().pool(max_size=1)
    for wrong in (None, "a pool", fastpool.AsyncPool(Plain().connect)):
        with pytest.raises(TypeError, match="native code can use a fastpool"):
            user.Native(wrong)
    native, again, held = user.Native(pool), user.Native(pool), Held()
    assert native.checkout(held)[0] == "ok"
    again.close()  # not the last one
    with pytest.raises(fastpool.LeaseError, match="native code still holds 1 of its connections"):
        native.close()
    assert native.checkin(held) == "ok"
    native.close()
    with pytest.raises(fastpool.LeaseError, match="is not open"):
        native.close()
    assert native.checkout(held)[0] == "misuse"


def test_it_keeps_the_pool_alive() -> None:
    driver = Plain()
    pool = driver.pool(max_size=1)
    native, held, alive = user.Native(pool), Held(), ref(pool)
    del pool
    gc.collect()
    assert native.checkout(held)[0] == "ok" and native.connection(held) is driver.made[0]
    assert native.checkin(held) == "ok"
    native.close()
    gc.collect()
    assert alive() is None or sysconfig.get_config_var("Py_GIL_DISABLED"), "without the GIL a pool stays"


FORK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.core.native import load
from tests.pool.fake_driver import Plain
user = load("_native_user", "tests/_native_user.pyx")
driver = Plain()
pool = driver.pool(max_size=2)
pool.warm()
native, held, new = user.Native(pool), user.Held(), user.Held()
assert native.checkout(held)[0] == "ok"
mine = native.connection(held)
child = os.fork()
if child == 0:
    copy = held.copy()
    assert native.checkout(new, 5)[0] == "ok" and native.connection(new) is driver.made[2], driver.made
    assert native.checkin(held) == "ok" and native.checkin(new) == "ok"
    assert native.checkin(held) == "misuse"
    assert (mine.abandoned, mine.closes) == (1, 0)
    assert pool.stats().leased == 0 and pool.stats().idle == 1
    native.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert native.connection(held) is mine and native.checkin(held) == "ok"
assert pool.stats().idle == 2
"""


def test_a_child_leaves_the_parents_connections_alone() -> None:
    run(FORK, str(ROOT))
