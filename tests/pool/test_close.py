"""close() with all its arguments, and open() and warm()."""

import gc
import weakref

import pytest

from fastpool import LeaseError, PoolClosed
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import (
    Abort,
    Failure,
    FakeDriver,
    Holder,
    Plain,
    Run,
    balanced,
    frees_what_is_dropped,
    resetting,
    serves,
    until,
    waiting,
)

BOTH_DRIVERS = pytest.mark.parametrize("kind", [Plain, FakeDriver], ids=["fast", "slow"])


def test_idle_ones_are_closed_now_and_leased_ones_on_return():
    driver = Plain()
    pool = driver.pool(max_size=3)
    with pool.connection() as a:
        b, c = pool.checkout(), pool.checkout()
        pool.checkin(c)
        pool.close()
        assert pool.closed
        assert [x.closes for x in (a, b, c)] == [0, 0, 1]
    assert a.closes == 1
    pool.checkin(b)
    assert b.closes == 1
    assert balanced(pool).closed["closed"] == 3
    assert len(pool) == 0


def test_again_is_harmless_and_closed_is_for_good():
    driver = Plain()
    told = []
    pool = driver.pool(name="p", listeners=[{"pool_closed": told.append}])
    serves(pool, 2)
    for _ in range(3):
        pool.close()
        pool.close(timeout=0)
    assert len(told) == 1
    assert [c.closes for c in driver.made] == [1, 1]
    with pytest.raises(PoolClosed, match="pool 'p' is closed, and stays closed: make another one"):
        pool.open()
    with pytest.raises(PoolClosed), pool:
        pass
    with pytest.raises(PoolClosed):
        pool.warm()
    pool.clear()
    pool.resize(max_size=4)
    assert repr(pool) == "<fastpool.Pool 'p' 0 leased, 0 idle, 0 waiting, max 4, closed>"


def test_all_waiters_get_pool_closed():
    pool = Plain().pool(max_size=1, name="p")
    holder = Holder(pool)
    holder.got()
    late = [Run(pool.checkout, None) for _ in range(3)]
    waiting(pool, 3)
    pool.close()
    for run in late:
        with pytest.raises(PoolClosed, match="pool 'p' was closed while this caller waited"):
            run.result()
    holder.end()
    stats = balanced(pool)
    assert (stats.waits, stats.timeouts, stats.cancelled) == (3, 0, 0)


def test_a_connecting_caller_gets_pool_closed_and_the_connection_is_closed():
    driver = Plain()
    pool = driver.pool(name="p")
    driver.connecting.hold()
    late = Run(pool.checkout)
    driver.connecting.held()
    pool.close()
    driver.connecting.go()
    with pytest.raises(PoolClosed, match="pool 'p' was closed while this caller connected"):
        late.result()
    assert [c.closes for c in driver.made] == [1]
    assert balanced(pool).closed["closed"] == 1


def test_a_connect_that_fails_after_the_close_is_its_callers_own_error():
    driver = Plain()
    pool = driver.pool()
    driver.connecting.hold()
    late = Run(pool.checkout)
    driver.connecting.held()
    pool.close()
    driver.connecting.mode = Failure("no")
    driver.connecting.released.set()
    assert isinstance(late.error(), (PoolClosed, Failure))
    balanced(pool)


def test_one_that_is_being_reset_is_not_kept():
    driver = FakeDriver()
    pool = driver.pool()
    with resetting(driver, pool) as c:
        pool.close()
    assert c.closes == 1
    assert balanced(pool).closed["closed"] == 1


def test_one_that_is_being_checked_ends_closed():
    driver = FakeDriver()
    with VirtualClock() as clock:
        pool = driver.pool()
        serves(pool, 1)
        clock.advance(1)
        driver.checking.hold()
        late = Run(pool.checkout)
        driver.checking.held()
        pool.close()
        driver.checking.go()
        c = late.result()  # it was checked out just before the close, and its lease is valid
        pool.checkin(c)
        assert c.closes == 1
        assert balanced(pool).closed["closed"] == 1


# ---- with a timeout


def test_it_waits_for_those_that_are_out():
    pool = Plain().pool()
    holder = Holder(pool)
    c = holder.got()
    closing = Run(pool.close, 60)
    until(lambda: pool.closed)
    assert not closing.done
    assert not c.closed
    holder.end()
    closing.result()
    assert c.closes == 1
    assert balanced(pool).closed["closed"] == 1


@BOTH_DRIVERS
def test_then_it_drops_them_and_their_blocks_end_quietly(kind):
    driver = kind()
    pool = driver.pool(max_size=2)
    holders = [Holder(pool), Holder(pool)]
    for holder in holders:
        holder.got()
    pool.close(timeout=0)
    assert [c.closes for c in driver.made] == [1, 1]
    assert pool.stats().leased == 0
    assert holders[0].end() in driver.made
    holders[1].raising = Failure("mine")
    with pytest.raises(Failure, match="mine"):
        holders[1].end()
    assert [c.closes for c in driver.made] == [1, 1]
    assert balanced(pool).closed["closed"] == 2


def test_what_was_checked_out_by_hand_is_returned_quietly_once():
    driver = Plain()
    pool = driver.pool()
    c = pool.checkout()
    pool.close(timeout=0)
    assert c.closes == 1
    pool.checkin(c)
    with pytest.raises(LeaseError):
        pool.checkin(c)
    assert c.closes == 1
    balanced(pool)


def test_a_nested_block_over_a_dropped_lease():
    pool = Plain().pool(nested=True)
    with pool.connection(), pool.connection() as c:
        pool.close(timeout=0)
        assert c.closes == 1
    assert balanced(pool).closed["closed"] == 1


def test_it_waits_no_longer_than_it_was_told():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool()
        holder = Holder(pool)
        holder.got()
        closing = Run(pool.close, 30)
        until(lambda: pool.closed)
        clock.advance(29.9)
        assert not closing.done
        clock.advance(0.2)
        closing.result()
        assert driver.made[0].closes == 1
        holder.end()


def test_it_waits_for_connects_too():
    driver = Plain()
    pool = driver.pool()
    driver.connecting.hold()
    late = Run(pool.checkout)
    driver.connecting.held()
    closing = Run(pool.close, 60)
    until(lambda: pool.closed)
    assert not closing.done
    driver.connecting.go()
    closing.result()
    assert isinstance(late.error(), PoolClosed)
    assert len(pool) == 0


def test_a_lease_that_is_being_given_back_is_not_dropped_as_well():
    """Otherwise the slot would have two owners, and the connection would be closed twice."""
    driver = FakeDriver()
    pool = driver.pool(max_size=1)
    with resetting(driver, pool) as c:
        pool.close(timeout=0)
        assert c.closes == 0
    assert c.closes == 1
    assert balanced(pool).closed["closed"] == 1


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1", True])
def test_a_bad_timeout_closes_nothing(timeout):
    pool = Plain().pool()
    with pytest.raises((TypeError, ValueError), match="timeout"):
        pool.close(timeout=timeout)
    serves(pool, 1)


# ---- from other threads, and with a driver that fails


def test_from_several_threads_at_once():
    driver = Plain()
    told = []
    pool = driver.pool(max_size=4, listeners=[{"pool_closed": told.append}])
    pool.warm()
    driver.closing.hold()
    runs = [Run(pool.close) for _ in range(4)]
    driver.closing.held()
    driver.closing.go()
    for run in runs:
        run.result()
    assert [c.closes for c in driver.made] == [1] * 4
    assert len(told) == 1


def test_from_inside_a_block():
    pool = Plain().pool()
    with pool.connection() as c:
        pool.close()
        assert not c.closed
    assert c.closes == 1


def test_a_close_that_hangs_holds_up_nobody_but_its_caller():
    driver = Plain()
    pool = driver.pool(max_size=2)
    holder = Holder(pool)
    holder.got()
    serves(pool, 1)
    driver.closing.hold()
    closing = Run(pool.close)
    driver.closing.held()
    driver.closing.mode = "ok"  # for the other callers
    assert holder.end().closes == 1
    assert len(pool) == 0
    driver.closing.go()
    closing.result()


def test_a_close_that_raises_what_is_no_exception_leaves_none_open():
    driver = Plain()
    told = []
    pool = driver.pool(max_size=3, listeners=[{"pool_closed": told.append}])
    pool.warm()
    driver.closing.mode = Abort()
    with pytest.raises(Abort):
        pool.close()
    assert [c.closes for c in driver.made] == [1, 1, 1]
    assert len(told) == 1
    assert balanced(pool).closed["closed"] == 3


def test_closing_a_pool_that_never_opened_anything():
    pool = Plain().pool(open=False)
    pool.close()
    assert pool.closed
    assert balanced(pool).connects == 0


@frees_what_is_dropped
def test_a_pool_nobody_has_any_more_goes_away_although_it_has_connections_out():
    pool = Plain().pool(min_size=2)
    gone = weakref.ref(pool)
    pool.checkout()
    del pool
    gc.collect()
    until(lambda: gone() is None)


# ---- open


def test_as_a_context_manager():
    driver = Plain()
    with driver.pool(min_size=2, open=False) as pool:
        assert len(pool) == 2
        serves(pool, 3)
    assert pool.closed
    assert driver.open == []


def test_nothing_is_opened_before_open_or_the_first_checkout():
    driver = Plain()
    told = []
    options = {"min_size": 2, "open": False, "listeners": [{"pool_opened": told.append}]}
    pool = driver.pool(**options)
    assert (len(pool), told) == (0, [])
    pool.open()
    assert (len(pool), len(told)) == (2, 1)
    pool.open()
    assert (len(pool), len(told)) == (2, 1)
    pool.close()
    pool = driver.pool(**options)
    with pool.connection():
        assert len(told) == 2
    until(lambda: len(pool) == 2)
    pool.close()


def test_an_open_that_fails_can_be_tried_again():
    driver = Plain()
    pool = driver.pool(min_size=2, open=False)
    driver.connecting.mode = Failure("no")
    with pytest.raises(Failure):
        pool.open()
    driver.connecting.mode = "ok"
    pool.open()
    assert len(pool) == 2
    pool.close()
