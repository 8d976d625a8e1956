"""A caller that could never get a connection gets PoolDeadlock at once."""

import asyncio
import gc
import threading

import pytest

from fastpool import NoConnectionsAvailable, PoolDeadlock
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Holder, Plain, Run, balanced, serves, waiting


def when_one_waits(pool, do, *args):
    """Call it in a thread, as soon as a caller stands in line."""
    return Run(lambda: (waiting(pool, 1), do(*args)))


def test_a_holder_of_all_connections_would_wait_for_itself():
    pool = Plain().pool(max_size=2, timeout=None, name="p")
    with pool.connection(), pool.connection():
        with VirtualClock(), pytest.raises(PoolDeadlock) as caught, pool.connection():
            pass  # without advancing the clock, so that the check once a second cannot be what finds it
        assert isinstance(caught.value, NoConnectionsAvailable)
        assert "pool 'p': every lease is held by owners that wait for this very pool" in str(caught.value)
        assert "nested=True" in str(caught.value)
        assert len(caught.value.holders) == 2
        assert pool.stats().waiting == 0
    stats = balanced(pool)
    assert (stats.timeouts, stats.cancelled, stats.waits) == (1, 0, 1)
    serves(pool, 2)


def test_two_threads_with_one_each_that_ask_for_another():
    pool = Plain().pool(max_size=2, timeout=None)
    both = threading.Barrier(2)
    outcomes = []

    def work():
        with pool.connection():
            both.wait(10)
            try:
                with pool.connection():
                    outcomes.append("served")
            except PoolDeadlock:
                outcomes.append("deadlock")

    runs = [Run(work), Run(work)]
    for run in runs:
        run.result()
    # the thread that closed the circle gets the error, which frees the other
    assert sorted(outcomes) == ["deadlock", "served"]
    assert balanced(pool).idle == 2


def test_three_in_a_circle():
    pool = Plain().pool(max_size=3, timeout=None)
    all_in = threading.Barrier(3)
    outcomes = []

    def work():
        with pool.connection():
            all_in.wait(10)
            try:
                with pool.connection():
                    outcomes.append("served")
            except PoolDeadlock:
                outcomes.append("deadlock")

    runs = [Run(work) for _ in range(3)]
    for run in runs:
        run.result()
    assert outcomes.count("deadlock") >= 1
    assert outcomes.count("served") >= 1
    balanced(pool)


def test_no_deadlock_while_one_holder_does_not_wait():
    pool = Plain().pool(max_size=2)
    other = Holder(pool)
    other.got()
    with pool.connection():
        leaving = when_one_waits(pool, other.leave.set)
        with pool.connection(timeout=20) as c:
            assert c is other.connection
        leaving.result()
    balanced(pool)


def test_what_was_taken_by_hand_may_be_returned_by_another_thread():
    pool = Plain().pool(max_size=1)
    c = pool.checkout()
    asking = Run(pool.checkout)  # not the holder
    waiting(pool, 1)
    Run(pool.checkin, c).result()
    assert asking.result() is c
    pool.checkin(c)
    c = pool.checkout()
    returning = when_one_waits(pool, pool.checkin, c)
    assert pool.checkout(timeout=20) is c  # the thread that checked it out by hand waits for it, and gets it
    returning.result()
    pool.checkin(c)


def test_one_by_hand_among_blocks():
    pool = Plain().pool(max_size=2)
    c = pool.checkout()
    with pool.connection():
        returning = when_one_waits(pool, pool.checkin, c)
        with pool.connection(timeout=20) as again:
            assert again is c
        returning.result()


def test_no_deadlock_while_a_connection_is_being_opened():
    driver = Plain()
    pool = driver.pool(max_size=2)
    with pool.connection():
        driver.connecting.hold()
        opening = Run(pool.checkout)
        driver.connecting.held()
        asking = Run(lambda: pool.checkout(timeout=20))
        waiting(pool, 1)
        with pytest.raises(NoConnectionsAvailable) as caught:
            pool.checkout(timeout=0.01)
        assert not isinstance(caught.value, PoolDeadlock)
        driver.connecting.go()
        pool.checkin(opening.result())
        pool.checkin(asking.result())


def test_timeout_0_is_no_deadlock():
    pool = Plain().pool(max_size=1)
    with pool.connection():
        with pytest.raises(NoConnectionsAvailable) as caught:
            pool.checkout(timeout=0)
        assert type(caught.value) is NoConnectionsAvailable


def test_nested_pools_share_instead():
    pool = Plain().pool(max_size=1, nested=True, timeout=None)
    with pool.connection() as a, pool.connection() as b:
        assert a is b


def test_a_deadlock_between_blocks_and_the_room_above_max_size():
    pool = Plain().pool(max_size=1, max_overflow=1, timeout=None)
    with pool.connection(), pool.connection():
        with pytest.raises(PoolDeadlock):
            pool.checkout()
    balanced(pool)


def test_a_task_whose_loop_the_waiting_caller_would_block():
    pool = Plain().pool(max_size=1)

    async def hold(taken, leave):
        async with pool.aconnection():
            taken.set()
            await leave.wait()

    async def main():
        taken, leave = asyncio.Event(), asyncio.Event()
        holder = asyncio.create_task(hold(taken, leave))
        await taken.wait()
        with pytest.raises(PoolDeadlock):
            pool.checkout(timeout=20)  # a thread's wait, which blocks the loop that the holder needs
        leave.set()
        await holder

    asyncio.run(main())
    balanced(pool)


def test_no_deadlock_while_only_garbage_holds():
    """With the option the collector is called, but not for a lease of a moment ago, and not repeatedly."""
    pool = Plain().pool(max_size=1, collect_garbage=True)
    collections = []

    def forget():
        lease = pool.connection()
        lease.__enter__()
        cycle = [lease]
        cycle.append(cycle)

    def count(phase, info):
        collections.append(phase)

    def deadlock():
        with pool.connection(), pytest.raises(PoolDeadlock):
            pool.checkout(timeout=20)

    with VirtualClock() as clock:
        gc.disable()
        gc.callbacks.append(count)
        try:
            deadlock()
            assert not collections
            forget()
            clock.advance(1)
            with pool.connection(timeout=20):
                assert collections == ["start", "stop"]
                clock.advance(1)
                with pytest.raises(PoolDeadlock):
                    pool.checkout(timeout=20)
            assert len(collections) == 2
        finally:
            gc.callbacks.remove(count)
            gc.enable()
        balanced(pool)


def test_without_the_option_a_deadlock_is_concluded_although_only_garbage_holds():
    pool = Plain().pool(max_size=1)
    with VirtualClock() as clock:
        gc.disable()
        try:
            lease = pool.connection()
            lease.__enter__()
            cycle = [lease]
            cycle.append(cycle)
            del cycle, lease
            clock.advance(1)
            with pytest.raises(PoolDeadlock):
                pool.checkout(timeout=20)
        finally:
            gc.enable()
        gc.collect()
        with pool.connection(timeout=20):
            pass
