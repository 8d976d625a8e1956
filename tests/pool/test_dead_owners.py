"""Owners that ended while holding a lease: reported once, with age and owner; the lease is ended only if nobody else
can."""

import _thread
import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import fastpool
from fastpool._core import Core, thread_is_alive
from tests._slots import in_hand

from .fake_driver import until
from .owners import Connection, exhausted, held_by_a_generator, in_a_thread_that_ends, people, warnings


@pytest.fixture
def pool():
    return people()


def test_which_threads_are_alive():
    begun, go, uids = threading.Semaphore(0), threading.Event(), []

    def live():
        uids.append(Core._thread_uid())
        begun.release()
        go.wait(20)

    plain = threading.Thread(target=live)
    plain.start()
    _thread.start_new_thread(live, ())
    with ThreadPoolExecutor(1) as executor:
        executor.submit(live)
        for _ in range(3):
            assert begun.acquire(timeout=20)
        assert len(set(uids)) == 3 and all(thread_is_alive(uid) for uid in [*uids, Core._thread_uid()])
        go.set()
    until(lambda: not any(thread_is_alive(uid) for uid in uids))
    assert thread_is_alive(Core._thread_uid()) and plain.ident is not None, "the Thread object is still there"
    assert not thread_is_alive(0)


def test_a_connection_that_is_still_referred_to_is_reported_and_not_taken(pool, caplog):
    pool, told = pool
    left = in_a_thread_that_ends(pool.checkout)
    own = pool.checkout()
    infos = {info.slot: info for info in pool.leases()}
    assert sorted(info.ended for info in infos.values()) == [False, True]
    ended = next(info for info in infos.values() if info.ended)
    assert (ended.thread, ended.owner) == ("a thread that has ended", "a thread that has ended")
    assert ended.stack() == [] and told == []
    error = exhausted(pool)
    assert "by a thread that has ended" in str(error)
    exhausted(pool)
    assert [event.connection for event in told] == [left] and told[0].duration > 0
    assert pool.stats().leaks == 1
    (said,) = warnings(caplog)
    assert "'people'" in said and "its owner has ended without giving it back: a thread that has ended" in said
    pool.checkin(left)
    assert pool.checkout() is left and left.closes == 0
    pool.checkin(left)
    pool.checkin(own)


def test_a_new_thread_with_the_old_ones_ident_is_not_called_the_holder(pool):
    pool, _ = pool
    left = [in_a_thread_that_ends(pool.checkout)]
    for _ in range(20):
        gone = next(iter(pool.leases()))

        def ask(gone=gone):
            return pool.leases()[0].ended, threading.get_ident()

        assert in_a_thread_that_ends(ask)[0] and gone.ended
    pool.checkin(left.pop())


def test_timeout_0_looks_as_well(pool):
    pool, told = pool
    left = in_a_thread_that_ends(lambda: [pool.checkout(), pool.checkout()])
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.checkout(timeout=0)
    assert len(told) == 2
    for c in left:
        pool.checkin(c)


def test_a_generator_left_open_is_reported_and_may_be_ended_by_anyone(pool, caplog):
    pool, told = pool
    left = in_a_thread_that_ends(lambda: [held_by_a_generator(pool), held_by_a_generator(pool)])
    exhausted(pool)
    assert len(told) == 2 and len(warnings(caplog)) == 2
    assert next(left.pop(), "over") == "over"
    with pool.connection():
        pass
    assert next(left.pop(), "over") == "over"
    assert pool.stats().idle == 2 and pool.stats().connects == 2


def test_waiters_look_again(pool):
    pool, told = pool
    left = in_a_thread_that_ends(lambda: [pool.checkout(), pool.checkout()])
    gave = []
    waiting = threading.Thread(target=lambda: gave.append(pool.checkout(timeout=20)))
    waiting.start()
    until(lambda: len(told) == 2)
    pool.checkin(left[0])
    waiting.join()
    assert gave == [left[0]]
    pool.checkin(left[1])
    pool.checkin(gave[0])


def test_a_task_that_is_done(pool):
    pool, told = pool
    lease = None

    async def main():
        nonlocal lease
        lease = pool.aconnection()
        await lease.__aenter__()
        await asyncio.create_task(hold())

    async def hold():
        await pool.aconnection().__aenter__()

    async def end():
        await lease.__aexit__(None, None, None)

    asyncio.run(main())
    assert [info.ended for info in pool.leases()] == [True]
    assert "task" in pool.leases()[0].owner
    own = pool.checkout()
    exhausted(pool)
    assert len(told) == 2, "the lease that hold() dropped, and main's"
    asyncio.run(end())
    pool.checkin(own)
    assert pool.stats().leased == 0


def test_a_task_of_an_async_pool_that_is_done(caplog):
    told = []

    async def open_one():
        return Connection()

    async def main():
        pool = fastpool.AsyncPool(open_one, max_size=2, timeout=0.02, listeners=[{"leak_suspected": told.append}])
        task = asyncio.create_task(pool.checkout(), name="the forgetful")
        left = await task
        own = await pool.checkout()
        (ended,) = (info for info in pool.leases() if info.ended)
        assert "the forgetful" in ended.owner and ended.stack() == []
        assert told == [] and warnings(caplog) == [], "only a caller that finds nothing reports it"
        for _ in range(2):
            with pytest.raises(fastpool.NoConnectionsAvailable):
                await pool.checkout()
        assert [event.connection for event in told] == [left] and told[0].duration > 0 and pool.stats().leaks == 1
        (said,) = warnings(caplog)
        assert "has been out for" in said and "its owner has ended" in said and "the forgetful" in said
        pool.checkin(left)
        assert await pool.checkout() is left
        pool.checkin(left)
        pool.checkin(own)
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("under_way", [False, True], ids=["at once", "under way"])
def test_a_task_that_is_cancelled_while_a_thread_returns_its_connection_has_left_nothing_behind(under_way, caplog):
    begun, go, told = threading.Event(), threading.Event(), []

    def reset(c):
        begun.set()
        assert go.wait(20)

    listeners = [{"leak_suspected": told.append}]
    pool = fastpool.Pool(Connection, reset=reset, max_size=1, listeners=listeners)
    pool.warm()

    async def use():
        async with pool.aconnection():
            begun.clear()

    async def main():
        task = asyncio.create_task(use())
        while pool.stats().leased == 0 or (under_way and not begun.is_set()):
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.stats().leased == 1
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.checkout(timeout=0)
        go.set()

    asyncio.run(main())
    until(lambda: pool.stats().idle == 1 and not in_hand(pool))
    assert told == [] and warnings(caplog) == []


def test_the_keeper_and_a_waiter_report_a_lease_once(caplog):
    told = []
    listeners = [{"leak_suspected": told.append}]
    with fastpool.testing.VirtualClock() as clock:
        pool = fastpool.Pool(Connection, max_size=1, timeout=0.02, leak_after=60, listeners=listeners)
        left = in_a_thread_that_ends(pool.checkout)
        clock.advance(60)
        assert len(told) == 1
    exhausted(pool)
    assert len(told) == 1 and pool.stats().leaks == 1
    assert "held by a thread that has ended" in warnings(caplog)[0]
    pool.checkin(left)
    pool.close()
