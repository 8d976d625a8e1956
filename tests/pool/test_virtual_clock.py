"""fastpool.testing.VirtualClock: time that passes only when a test advances it."""

import time

import pytest

import fastpool
from fastpool._core import clock as pool_clock
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import FakeDriver, Plain, Run, waiting


def test_it_stands_still_until_it_is_advanced():
    with VirtualClock() as clock:
        began = clock.now
        assert pool_clock() == began == pool_clock()
        clock.advance(0.25)
        clock.advance(3600)
        assert clock.now == pool_clock() == began + 3600.25
    assert abs(pool_clock() - time.monotonic()) < 60  # it runs again


def test_there_is_one_for_all_pools():
    with VirtualClock(), pytest.raises(RuntimeError, match="stopped already"), VirtualClock():
        pass
    with VirtualClock():
        pass


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_it_does_not_run_backwards(seconds):
    with VirtualClock() as clock, pytest.raises(ValueError, match="seconds must be a number >= 0"):
        clock.advance(seconds)


def test_advancing_outside_of_the_block():
    clock = VirtualClock()
    with clock:
        pass
    with pytest.raises(RuntimeError, match="the clock runs"):
        clock.advance(1)


def test_the_clock_runs_again_after_an_exception():
    with pytest.raises(ZeroDivisionError), VirtualClock():
        raise ZeroDivisionError
    assert not fastpool._core.clock_is_stopped()


def test_a_waiter_notices():
    pool = Plain().pool(max_size=1, timeout=300)
    with VirtualClock() as clock, pool.connection():
        late = Run(pool.checkout)
        waiting(pool, 1)
        clock.advance(299.999)
        assert pool.stats().waiting == 1
        clock.advance(0.001)
        assert isinstance(late.error(), fastpool.NoConnectionsAvailable)
        assert late.error().waited == pytest.approx(300)


def test_when_advance_returns_the_keeper_has_been_there():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(max_size=4, min_size=2, idle_timeout=60)
        pool.warm()
        clock.advance(59)
        assert len(pool) == 4
        clock.advance(1)
        assert len(pool) == 2
        pool.close()


def test_a_keeper_that_hangs_is_reported_and_not_waited_for():
    driver = FakeDriver()
    with VirtualClock() as clock:
        pool = driver.pool(min_size=1, keepalive=10)
        driver.checking.hold()
        with pytest.raises(TimeoutError, match="does a driver hang"):
            clock.advance(10, patience=0.05)
        driver.checking.held()
        driver.checking.go()
        clock.settle()
        pool.close()
        clock.settle()


def test_a_keeper_that_lay_down_while_the_clock_ran_is_woken():
    driver = Plain()
    pool = driver.pool(max_size=2, idle_timeout=3000)
    pool.warm()
    with VirtualClock() as clock:
        clock.advance(3001)
        assert len(pool) == 0
    pool.close()
