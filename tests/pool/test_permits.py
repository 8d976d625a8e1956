"""Connecting: a limited number at once, never under a lock, and a connect that fails delays nobody else."""

import threading
from contextlib import suppress

import pytest

from fastpool import NoConnectionsAvailable
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Abort, Failure, FakeDriver, Holder, Plain, Run, balanced, serves, until, waiting


def test_no_more_than_max_connecting_at_once():
    driver = Plain()
    pool = driver.pool(max_size=20, max_connecting=3)
    driver.connecting.hold()
    runs = [Run(pool.checkout) for _ in range(20)]
    driver.connecting.held(3)
    waiting(pool, 17)
    assert (pool.stats().connecting, driver.together, len(pool)) == (3, 3, 0)
    assert repr(pool).endswith("0 leased, 0 idle, 3 connecting, 17 waiting, max 20>")
    driver.connecting.go()
    for run in runs:
        pool.checkin(run.result())
    assert driver.most_together <= 3
    balanced(pool)


def test_a_waiter_for_a_permit_takes_a_connection_that_comes_back_first():
    driver = Plain()
    pool = driver.pool(max_size=3, max_connecting=1)
    holder = Holder(pool)
    c = holder.got()
    driver.connecting.hold()
    opening = Run(pool.checkout)
    driver.connecting.held()
    late = Run(pool.checkout)
    waiting(pool, 1)
    holder.end()
    assert late.result() is c
    driver.connecting.go()
    assert opening.result() is not c
    assert len(driver.made) == 2


def test_a_waiter_for_a_permit_connects_as_soon_as_one_is_free():
    driver = Plain()
    pool = driver.pool(max_size=3, max_connecting=1)
    driver.connecting.hold()
    first = Run(pool.checkout)
    driver.connecting.held()
    second = Run(pool.checkout)
    waiting(pool, 1)
    driver.connecting.go()
    assert first.result() is not second.result()
    assert len(driver.made) == 2


@pytest.mark.parametrize("error", [Failure, Abort, KeyboardInterrupt])
def test_whatever_ends_a_connect_the_next_in_line_connects(error):
    """SQLAlchemy 2.1.9 leaves the next one asleep until its own timeout."""
    driver = Plain()
    pool = driver.pool(max_size=1, timeout=None)
    begun, fail = threading.Event(), threading.Event()

    def fail_when_told():
        driver.connecting.mode = "ok"
        begun.set()
        assert fail.wait(20)
        raise error

    driver.connecting.mode = fail_when_told
    first = Run(pool.checkout)
    assert begun.wait(20)
    others = [Run(lambda: pool.checkin(pool.checkout())) for _ in range(3)]
    waiting(pool, 3)
    fail.set()
    assert isinstance(first.error(), error)
    for run in others:
        run.result()
    stats = balanced(pool)
    assert (stats.connects, stats.connect_errors) == (1, 1)


def test_each_caller_fails_with_its_own_error_and_nobody_is_left_asleep():
    driver = Plain()
    pool = driver.pool(max_size=2, timeout=None)
    driver.refusing.add(None)
    driver.connecting.hold()
    runs = [Run(pool.checkout) for _ in range(10)]
    driver.connecting.held(2)
    waiting(pool, 8)
    driver.connecting.go()
    for run in runs:
        assert isinstance(run.error(), Failure)
    assert balanced(pool).connect_errors == 10
    driver.refusing.clear()
    serves(pool, 2)


def test_returns_are_not_blocked_by_a_hung_connect():
    driver = Plain()
    pool = driver.pool(max_size=2)
    holder = Holder(pool)
    holder.got()
    driver.connecting.hold()
    opening = Run(pool.checkout)
    driver.connecting.held()
    for _ in range(5):
        c = holder.end()
        holder = Holder(pool)
        assert holder.got() is c
    holder.end()
    driver.connecting.go()
    opening.result()


def test_the_pool_can_be_used_from_inside_connect_close_check_and_reset():
    """No lock is held while any of them runs."""
    driver = FakeDriver()
    pool = driver.pool(max_size=8, max_connecting=8)
    seen = []

    def look():
        seen.append((repr(pool), len(pool), pool.stats(), pool.leases()))
        if len(seen) < 12:
            with suppress(NoConnectionsAvailable), pool.connection(timeout=0):
                pass
        pool.clear()

    with VirtualClock() as clock:
        for step in (driver.connecting, driver.checking, driver.resetting, driver.closing):
            step.mode = look
            with pool.connection():
                pass
            clock.advance(1)
            with pool.connection():
                pass
            step.mode = "ok"
    assert len(seen) >= 4
    balanced(pool)


def test_a_listener_that_is_interrupted_after_the_connect_costs_the_connection_only():
    driver = Plain()

    def interrupt(event):
        raise KeyboardInterrupt

    pool = driver.pool(max_size=1, listeners=[{"connected": interrupt}])
    for n in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            pool.checkout()
        assert driver.made[n - 1].closes == 1
    assert balanced(pool).closed["error"] == 2


def test_waiting_for_a_permit_is_waiting():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(max_size=5, max_connecting=1, timeout=10)
        driver.connecting.hold()
        opening = Run(pool.checkout)
        driver.connecting.held()
        late = Run(pool.checkout)
        waiting(pool, 1)
        clock.advance(10)
        error = late.error()
        assert isinstance(error, NoConnectionsAvailable)
        assert error.phase == "wait"
        assert "1 connecting" in str(error)
        driver.connecting.go()
        # it took longer than its caller had time, and is still usable
        pool.checkin(opening.result())
        until(lambda: pool.stats().idle == 1)
