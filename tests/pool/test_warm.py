"""warm(): connections opened beforehand."""

import pytest

from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Failure, FakeDriver, Plain, Run, balanced, waiting

BOTH_DRIVERS = pytest.mark.parametrize("kind", [Plain, FakeDriver], ids=["fast", "slow"])


# ---- warm


def test_warm_opens_connections_and_says_how_many_are_open():
    driver = Plain()
    pool = driver.pool(max_size=5)
    assert pool.warm(2) == 2
    assert pool.warm(1) == 2
    assert pool.warm() == 5
    assert len(driver.made) == 5
    assert balanced(pool).idle == 5


@pytest.mark.parametrize("n", [-1, 6])
def test_warm_out_of_range(n):
    with pytest.raises(ValueError, match=r"n must be from 0 to max_size \(5\)"):
        Plain().pool(max_size=5).warm(n)


@pytest.mark.parametrize("n", ["2", 1.0, True])
def test_warm_what_is_no_number(n):
    with pytest.raises(TypeError, match="n must be an integer or None"):
        Plain().pool(max_size=5).warm(n)


def test_warm_gives_up_when_its_time_is_over():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(max_size=5)
        driver.connecting.mode = lambda: clock.advance(1)
        assert pool.warm(timeout=2.5) == 3
        assert driver.timeouts == [2.5, 1.5, 0.5]


def test_warm_raises_what_connect_raises():
    driver = Plain()
    pool = driver.pool(max_size=5)
    driver.connecting.mode = Failure("no")
    with pytest.raises(Failure):
        pool.warm()
    assert balanced(pool).connect_errors == 1


def test_warm_serves_the_waiters():
    driver = Plain()
    pool = driver.pool(max_size=2, max_connecting=1)
    driver.connecting.hold()
    warming = Run(pool.warm)
    driver.connecting.held()
    late = Run(pool.checkout)
    waiting(pool, 1)
    driver.connecting.go()
    assert late.result() in driver.made
    assert warming.result() == 2
    assert pool.stats().leased == 1


def test_warm_by_several_at_once_opens_no_more_than_wanted():
    driver = Plain()
    pool = driver.pool(max_size=8, max_connecting=3)
    runs = [Run(pool.warm, 6) for _ in range(5)]
    for run in runs:
        assert run.result() >= 6
    assert len(pool) <= 8
    assert driver.most_together <= 3
    balanced(pool)
