"""checkout() and checkin(): once per lease, from any thread, and not for a connection that a block holds."""

import gc
import sysconfig

import pytest

from fastpool import LeaseError, NoConnectionsAvailable, Pool
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import FakeDriver, Plain, Run, balanced, serves, waiting

BOTH_DRIVERS = pytest.mark.parametrize("kind", [Plain, FakeDriver], ids=["fast", "slow"])


@BOTH_DRIVERS
def test_out_and_back(kind):
    driver = kind()
    pool = driver.pool()
    c = pool.checkout()
    assert pool.stats().leased == 1
    assert pool.checkin(c) is None
    assert balanced(pool).idle == 1
    assert pool.checkout() is c


def test_back_from_another_thread():
    pool = Plain().pool()
    c = pool.checkout()
    Run(pool.checkin, c).result()
    assert balanced(pool).idle == 1
    assert Run(pool.checkout).result() is c


@BOTH_DRIVERS
def test_discard_closes_it(kind):
    driver = kind()
    pool = driver.pool()
    c = pool.checkout()
    pool.checkin(c, discard=True)
    assert c.closes == 1
    assert balanced(pool).closed["discarded"] == 1


@BOTH_DRIVERS
def test_once_is_enough(kind):
    pool = kind().pool(name="p")
    c = pool.checkout()
    pool.checkin(c)
    for _ in range(2):
        with pytest.raises(LeaseError, match="connection 0 of pool 'p' was already returned"):
            pool.checkin(c)
    assert balanced(pool).checkins == 1
    serves(pool, 3)


def test_twice_at_once():
    """The second return comes while the reset of the first runs."""
    driver = FakeDriver()
    pool = driver.pool(max_size=2)
    c = pool.checkout()
    driver.resetting.hold()
    first = Run(pool.checkin, c)
    driver.resetting.held()
    with pytest.raises(LeaseError, match="is already being returned"):
        pool.checkin(c)
    driver.resetting.go()
    first.result()
    assert balanced(pool).checkins == 1
    serves(pool, 2)


def test_a_stranger():
    pool = Plain().pool(name="p")
    theirs = Plain().pool().checkout()
    for stranger in (theirs, None, 5):
        with pytest.raises(LeaseError, match="pool 'p' did not give out"):
            pool.checkin(stranger)


def test_what_the_pool_has_closed():
    pool = Plain().pool()
    c = pool.checkout()
    pool.checkin(c, discard=True)
    with pytest.raises(LeaseError, match=r"did not give out .* or has closed it"):
        pool.checkin(c)


@BOTH_DRIVERS
def test_what_a_block_holds_is_returned_by_the_blocks_end_alone(kind):
    driver = kind()
    pool = driver.pool(name="p", max_size=1)
    with pool.connection() as c:
        with pytest.raises(LeaseError, match="held by a `with` block"):
            pool.checkin(c)
        with pytest.raises(LeaseError, match="held by a `with` block"):
            Run(pool.checkin, c).result()
        assert pool.stats().leased == 1
    assert balanced(pool).checkins == 1
    assert pool.checkout() is c


def test_a_second_checkin_does_not_take_it_from_the_next_ones_block():
    pool = Plain().pool(max_size=1)
    c = pool.checkout()
    pool.checkin(c)
    with pool.connection() as mine:
        assert mine is c
        with pytest.raises(LeaseError):
            pool.checkin(c)
    balanced(pool)


def test_by_hand_inside_a_block_is_another_connection_nested_or_not():
    pool = Plain().pool(nested=True)
    with pool.connection() as c:
        other = pool.checkout()
        assert other is not c
        pool.checkin(other)
        with pool.connection() as same:
            assert same is c
    assert balanced(pool).idle == 2


def test_nested_blocks_of_one_owner_share():
    driver = Plain()
    pool = driver.pool(nested=True, max_size=1)
    with pool.connection() as a:
        with pool.connection(timeout=0) as b, pool.connection() as c:
            assert a is b is c
            assert [info.depth for info in pool.leases()] == [3]
        assert pool.stats().leased == 1
        assert Run(lambda: len(pool.leases())).result() == 1
    stats = balanced(pool)
    assert (stats.checkouts, stats.idle) == (1, 1)


def test_an_inner_block_that_fails_costs_the_connection_at_the_outer_ones_end():
    pool = Plain().pool(nested=True)
    with pool.connection() as outer:
        with pytest.raises(ZeroDivisionError), pool.connection():
            raise ZeroDivisionError
        assert not outer.closed
    assert outer.closes == 1
    assert balanced(pool).closed["error"] == 1


def test_an_inner_block_that_discards():
    pool = Plain().pool(nested=True)
    with pool.connection() as outer:
        lease = pool.connection()
        with lease:
            lease.discard()
        assert not outer.closed
    assert outer.closes == 1


# ---- dropped connections

COUNTS = pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="reference counts are approximate"
)


class Unowned:
    """A connection to which only the pool refers."""

    def __init__(self, closed):
        self.closed = closed

    def close(self):
        self.closed.append(self)


@COUNTS
def test_what_was_dropped_without_checkin_is_replaced_when_a_caller_would_have_to_wait(caplog):
    closed = []
    with VirtualClock() as clock:
        told = []
        pool = Pool(lambda: Unowned(closed), max_size=2, name="p", listeners=[{"leak_suspected": told.append}])
        kept = pool.checkout()
        pool.checkout()  # dropped at once
        gc.collect()
        clock.advance(1)
        assert (pool.stats().leased, caplog.text) == (2, "")
        fresh = pool.checkout(timeout=0)
    assert len(closed) == 1
    assert fresh is not kept
    assert "pool 'p': connection 1, checked out" in caplog.text
    assert "was dropped without checkin(): it is replaced" in caplog.text
    assert [event.connection for event in told] == closed
    assert (told[0].duration >= 1, pool.stats().leaks) == (True, 1)
    with pytest.raises(NoConnectionsAvailable):
        pool.checkout(timeout=0)
    pool.checkin(kept)
    pool.checkin(fresh)
    assert balanced(pool).closed["error"] == 1


def test_what_was_thrown_away_is_still_out_for_a_second():
    """Otherwise a pool could have more than max_size connections open for callers that count them."""
    with VirtualClock() as clock:
        pool = Pool(lambda: Unowned([]), max_size=1)
        pool.checkout()
        clock.advance(0.999)
        with pytest.raises(NoConnectionsAvailable):
            pool.checkout(timeout=0)
        assert pool.stats().leased == 1


@COUNTS
def test_a_present_waiter_gets_it_within_a_second():
    with VirtualClock() as clock:
        pool = Pool(lambda: Unowned([]), max_size=1, timeout=5)
        c = pool.checkout()
        late = Run(pool.checkout)
        waiting(pool, 1)
        del c
        clock.advance(1)
        pool.checkin(late.result())
        balanced(pool)


@COUNTS
def test_what_a_block_holds_is_not_taken_although_its_name_is_gone():
    pool = Pool(lambda: Unowned([]), max_size=1)
    with pool.connection():
        with pytest.raises(NoConnectionsAvailable):
            pool.checkout(timeout=0)
        assert pool.stats().leased == 1


# ---- during a return


def test_a_return_that_nobody_finishes_leaves_a_lease_that_can_be_ended():
    """A task's checkin is dropped where a loop ends before its reset began; the next in line gets the slot."""
    driver = FakeDriver()
    pool = driver.pool(max_size=1)
    c = pool.checkout()
    late = Run(pool.checkout)
    waiting(pool, 1)
    checkin = pool._checkin_by_hand(c, False)
    del checkin
    fresh = late.result()
    assert fresh is not c
    pool.checkin(fresh)
    assert balanced(pool).idle == 1


def test_a_reset_that_uses_the_pool_gets_another_connection():
    seen = []

    def reset(c):
        if not seen:
            with pool.connection(timeout=0) as other:
                seen.append(other is c)

    pool = Pool(object, max_size=2, nested=True, reset=reset)
    with pool.connection():
        pass
    assert seen == [False]
    balanced(pool)
