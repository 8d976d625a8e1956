"""Leases that their holders dropped: the pool ends and reports them, unless an option turns that off."""

import asyncio
import gc
import logging
import weakref

import pytest

import fastpool

from .fake_driver import until
from .owners import (
    COUNTED,
    WITH_GIL,
    Connection,
    exhausted,
    held_by_a_generator,
    in_a_thread_that_ends,
    people,
    warnings,
)


@pytest.fixture
def pool():
    return people()


@pytest.fixture
def collections():
    """The runs of the garbage collector, which runs only when it is called; each adds "start" and "stop"."""
    phases = []

    def count(phase, info):
        phases.append(phase)

    gc.collect()
    gc.disable()
    gc.callbacks.append(count)
    yield phases
    gc.callbacks.remove(count)
    gc.enable()


def leave_in_cycles(hold, pool):
    """Two connections held by nothing but reference cycles; the thread that made them has ended."""

    def leave():
        for _ in range(2):
            cycle = [hold(pool)]
            cycle.append(cycle)

    in_a_thread_that_ends(leave)
    assert pool.stats().leased == 2


def test_a_generator_that_is_garbage_is_collected_when_a_caller_would_have_to_wait(collections):
    pool, _ = people(collect_garbage=True)
    leave_in_cycles(held_by_a_generator, pool)
    with pool.connection(timeout=0), pool.connection(timeout=0):
        pass
    assert pool.stats().leaks == 2 and collections == ["start", "stop"]


@pytest.mark.parametrize("hold", [held_by_a_generator, fastpool.Pool.checkout], ids=["block", "by hand"])
def test_without_the_option_the_collector_is_not_called_and_what_is_garbage_is_only_reported(hold, pool, collections):
    pool, told = pool
    leave_in_cycles(hold, pool)
    for _ in range(2):
        exhausted(pool)
    assert len(told) == pool.stats().leaks == pool.stats().leased == 2 and collections == []
    told.clear()  # events refer to the connection
    gc.collect()  # as the interpreter does of its own accord
    if hold is held_by_a_generator or WITH_GIL:
        with pool.connection(), pool.connection():
            pass


@COUNTED
def test_a_connection_that_is_garbage_is_replaced(caplog, collections):
    pool = fastpool.Pool(Connection, max_size=2, timeout=0.02, collect_garbage=True)  # events refer to the connection
    leave_in_cycles(fastpool.Pool.checkout, pool)
    pool.checkin(pool.checkout(timeout=0))
    assert pool.stats().closed["error"] >= 1
    assert any("was dropped without checkin()" in said for said in warnings(caplog))
    assert pool.stats().leaks == 2  # each once, though it was reported with its owner first


@COUNTED
@pytest.mark.parametrize("reclaim", [True, False])
def test_a_connection_that_was_dropped_is_taken_back_and_told_unless_that_is_turned_off(reclaim, caplog):
    with fastpool.testing.VirtualClock() as clock:
        pool, told = people(reclaim=reclaim)
        for _ in range(2):
            pool.checkout()  # dropped at once, by an owner that lives on
        clock.advance(2)
        if reclaim:
            pool.checkin(pool.checkout(timeout=0))
            assert [event.duration for event in told] == [2, 2] and pool.stats().leaks == 2
            assert all("was dropped without checkin()" in said for said in warnings(caplog))
        else:
            with pytest.raises(fastpool.NoConnectionsAvailable):
                pool.checkout(timeout=0)
            assert told == warnings(caplog) == []
        assert pool.stats().leased == (0 if reclaim else 2)


@pytest.mark.parametrize("reclaim", [True, False])
def test_a_lease_that_was_dropped_in_its_block_ends_and_is_told_unless_that_is_turned_off(reclaim, caplog):
    pool, told = people(reclaim=reclaim)
    c = pool.connection().__enter__()  # nothing refers to the lease any more
    assert pool.stats().leased == (0 if reclaim else 1)
    assert told == warnings(caplog) == [], "a finalizer runs no user code"
    held = [pool.checkout(timeout=0) for _ in range(2 if reclaim else 1)]
    assert c not in held
    for one in held:
        pool.checkin(one)
    assert [event.connection for event in told] == ([c] if reclaim else [])
    assert len(warnings(caplog)) == pool.stats().leaks == c.closes == len(told)


def test_a_lease_that_a_task_dropped_is_told(caplog):
    async def main():
        async with fastpool.AsyncPool(Connection, max_size=1, name="tasks") as pool:
            await pool.connection().__aenter__()
            async with pool.connection():
                assert pool.stats().leaks == 1

    asyncio.run(main())
    (said,) = warnings(caplog)
    assert "'tasks'" in said and "lost its lease, which was dropped inside its block: it is replaced" in said


def test_a_log_handler_that_raises_costs_no_slot_when_a_dropped_lease_is_told(monkeypatch):
    class Broken(logging.Filter):
        def filter(self, record):
            raise RuntimeError("the disk is full")

    pool, told = people()
    pool.connection().__enter__()
    monkeypatch.setattr(logging.getLogger("fastpool"), "filters", [Broken()])
    with pool.connection(timeout=0), pool.connection(timeout=0):
        assert len(told) == 1
    assert pool.stats().idle == 2


@COUNTED
@pytest.mark.parametrize("driver", ["a thread", "a task"])
def test_what_nobody_can_give_back_stays_out_until_the_pool_is_exhausted(driver, caplog):
    async def open_one():
        return Connection()

    def thread():
        pool = fastpool.Pool(Connection, max_size=2)
        in_a_thread_that_ends(lambda: pool.checkout() and None)
        for _ in range(5):
            pool.checkin(pool.checkout(timeout=0))
        assert (pool.stats().leased, pool.stats().connects) == (1, 2) and warnings(caplog) == []
        held = [pool.checkout(timeout=0), pool.checkout(timeout=0)]
        return pool, held

    async def task():
        pool = fastpool.AsyncPool(open_one, max_size=2)
        await asyncio.create_task(dropped(pool))
        for _ in range(5):
            pool.checkin(await pool.checkout(timeout=0))
        assert (pool.stats().leased, pool.stats().connects) == (1, 2) and warnings(caplog) == []
        held = [await pool.checkout(timeout=5), await pool.checkout(timeout=5)]
        return pool, held

    async def dropped(pool):
        await pool.checkout()

    pool, held = thread() if driver == "a thread" else asyncio.run(task())
    assert pool.stats().closed["error"] == 1 and pool.stats().connects == 3
    assert any("was dropped without checkin()" in said for said in warnings(caplog))
    for c in held:
        pool.checkin(c)


@COUNTED
def test_tasks_in_line_look_as_well():
    async def open_one():
        return Connection()

    async def main():
        async with fastpool.AsyncPool(open_one, max_size=1, timeout=20) as pool:
            await pool.checkout()  # dropped at once
            c = await pool.checkout()
            kept = [c]
            waiting = asyncio.create_task(pool.checkout())
            while not pool.stats().waiting:
                await asyncio.sleep(0)
            del c
            kept.clear()  # dropped while another caller waits
            pool.checkin(await waiting)
            assert pool.stats().connects == 3

    asyncio.run(main())


@pytest.mark.parametrize("pool_first", [True, False])
@pytest.mark.parametrize("tasks", [False, True], ids=["thread", "task"])
def test_a_pool_and_its_leases_in_one_reference_cycle_are_collected(pool_first, tasks):
    """The collector may destroy the pool's entries before the leases, whose finalizers look at them."""

    async def entered(lease):
        await lease.__aenter__()
        return lease

    def hold(pool):
        lease = pool.aconnection() if tasks else pool.connection()
        if tasks:
            return asyncio.run(entered(lease))
        lease.__enter__()
        return lease

    def leave():
        pool = fastpool.Pool(Connection, max_size=2)
        cycle = [pool, hold(pool), hold(pool)] if pool_first else [hold(pool), hold(pool), pool]
        cycle.append(cycle)
        return weakref.ref(pool)

    left = [leave() for _ in range(20)]

    def collected():
        gc.collect()  # does nothing while another thread collects
        return not any(pool() for pool in left)

    gc.collect()
    if WITH_GIL:
        until(collected)
