"""close(), in all its words, and what open() and warm() do."""

import gc
import weakref

import pytest

from fastpool import LeaseError, PoolClosed
from fastpool.testing import VirtualClock
from tests.pool.world import (
    Abort,
    Failure,
    Holder,
    Plain,
    Run,
    World,
    balanced,
    frees_what_is_dropped,
    resetting,
    serves,
    until,
    waiting,
)

WORLDS = pytest.mark.parametrize("kind", [Plain, World], ids=["fast", "slow"])


def test_idle_ones_are_closed_now_and_leased_ones_on_return():
    world = Plain()
    pool = world.pool(max_size=3)
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
    world = Plain()
    told = []
    pool = world.pool(name="p", listeners=[{"pool_closed": told.append}])
    serves(pool, 2)
    for _ in range(3):
        pool.close()
        pool.close(timeout=0)
    assert len(told) == 1
    assert [c.closes for c in world.made] == [1, 1]
    with pytest.raises(PoolClosed, match="pool 'p' is closed, and stays closed: make another one"):
        pool.open()
    with pytest.raises(PoolClosed), pool:
        pass
    with pytest.raises(PoolClosed):
        pool.warm()
    pool.clear()
    pool.resize(max_size=4)
    assert repr(pool) == "<fastpool.Pool 'p' 0 leased, 0 idle, 0 waiting, max 4, closed>"


def test_all_who_wait_get_pool_closed():
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


def test_who_is_connecting_gets_pool_closed_and_the_connection_is_closed():
    world = Plain()
    pool = world.pool(name="p")
    world.connecting.hold()
    late = Run(pool.checkout)
    world.connecting.held()
    pool.close()
    world.connecting.go()
    with pytest.raises(PoolClosed, match="pool 'p' was closed while this caller connected"):
        late.result()
    assert [c.closes for c in world.made] == [1]
    assert balanced(pool).closed["closed"] == 1


def test_a_connect_that_fails_after_the_close_is_its_callers_own_error():
    world = Plain()
    pool = world.pool()
    world.connecting.hold()
    late = Run(pool.checkout)
    world.connecting.held()
    pool.close()
    world.connecting.mode = Failure("no")
    world.connecting.released.set()
    assert isinstance(late.error(), (PoolClosed, Failure))
    balanced(pool)


def test_one_that_is_being_reset_is_not_kept():
    world = World()
    pool = world.pool()
    with resetting(world, pool) as c:
        pool.close()
    assert c.closes == 1
    assert balanced(pool).closed["closed"] == 1


def test_one_that_is_being_checked_ends_closed():
    world = World()
    with VirtualClock() as clock:
        pool = world.pool()
        serves(pool, 1)
        clock.advance(1)
        world.checking.hold()
        late = Run(pool.checkout)
        world.checking.held()
        pool.close()
        world.checking.go()
        c = late.result()  # it was a moment earlier, and has its lease
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


@WORLDS
def test_then_it_drops_them_and_their_blocks_end_quietly(kind):
    world = kind()
    pool = world.pool(max_size=2)
    holders = [Holder(pool), Holder(pool)]
    for holder in holders:
        holder.got()
    pool.close(timeout=0)
    assert [c.closes for c in world.made] == [1, 1]
    assert pool.stats().leased == 0
    assert holders[0].end() in world.made
    holders[1].raising = Failure("mine")
    with pytest.raises(Failure, match="mine"):
        holders[1].end()
    assert [c.closes for c in world.made] == [1, 1]
    assert balanced(pool).closed["closed"] == 2


def test_what_was_checked_out_by_hand_is_returned_quietly_once():
    world = Plain()
    pool = world.pool()
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
    world = Plain()
    with VirtualClock() as clock:
        pool = world.pool()
        holder = Holder(pool)
        holder.got()
        closing = Run(pool.close, 30)
        until(lambda: pool.closed)
        clock.advance(29.9)
        assert not closing.done
        clock.advance(0.2)
        closing.result()
        assert world.made[0].closes == 1
        holder.end()


def test_it_waits_for_those_who_connect_too():
    world = Plain()
    pool = world.pool()
    world.connecting.hold()
    late = Run(pool.checkout)
    world.connecting.held()
    closing = Run(pool.close, 60)
    until(lambda: pool.closed)
    assert not closing.done
    world.connecting.go()
    closing.result()
    assert isinstance(late.error(), PoolClosed)
    assert len(pool) == 0


def test_a_lease_that_is_being_given_back_is_not_dropped_as_well():
    """The slot would have two owners, and the connection would be closed twice."""
    world = World()
    pool = world.pool(max_size=1)
    with resetting(world, pool) as c:
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


# ---- from elsewhere, and with a driver that misbehaves


def test_from_several_threads_at_once():
    world = Plain()
    told = []
    pool = world.pool(max_size=4, listeners=[{"pool_closed": told.append}])
    pool.warm()
    world.closing.hold()
    runs = [Run(pool.close) for _ in range(4)]
    world.closing.held()
    world.closing.go()
    for run in runs:
        run.result()
    assert [c.closes for c in world.made] == [1] * 4
    assert len(told) == 1


def test_from_inside_a_block():
    pool = Plain().pool()
    with pool.connection() as c:
        pool.close()
        assert not c.closed
    assert c.closes == 1


def test_a_close_that_hangs_holds_up_nobody_but_its_caller():
    world = Plain()
    pool = world.pool(max_size=2)
    holder = Holder(pool)
    holder.got()
    serves(pool, 1)
    world.closing.hold()
    closing = Run(pool.close)
    world.closing.held()
    world.closing.mode = "ok"  # for the others
    assert holder.end().closes == 1
    assert len(pool) == 0
    world.closing.go()
    closing.result()


def test_a_close_that_raises_what_is_no_exception_leaves_none_open():
    world = Plain()
    told = []
    pool = world.pool(max_size=3, listeners=[{"pool_closed": told.append}])
    pool.warm()
    world.closing.mode = Abort()
    with pytest.raises(Abort):
        pool.close()
    assert [c.closes for c in world.made] == [1, 1, 1]
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
    world = Plain()
    with world.pool(min_size=2, open=False) as pool:
        assert len(pool) == 2
        serves(pool, 3)
    assert pool.closed
    assert world.open == []


def test_nothing_is_opened_before_open_or_the_first_checkout():
    world = Plain()
    told = []
    options = {"min_size": 2, "open": False, "listeners": [{"pool_opened": told.append}]}
    pool = world.pool(**options)
    assert (len(pool), told) == (0, [])
    pool.open()
    assert (len(pool), len(told)) == (2, 1)
    pool.open()
    assert (len(pool), len(told)) == (2, 1)
    pool.close()
    pool = world.pool(**options)
    with pool.connection():
        assert len(told) == 2
    until(lambda: len(pool) == 2)
    pool.close()


def test_an_open_that_fails_can_be_tried_again():
    world = Plain()
    pool = world.pool(min_size=2, open=False)
    world.connecting.mode = Failure("no")
    with pytest.raises(Failure):
        pool.open()
    world.connecting.mode = "ok"
    pool.open()
    assert len(pool) == 2
    pool.close()
