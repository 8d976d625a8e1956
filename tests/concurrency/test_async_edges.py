"""Edge cases of tasks: loops that end, early timers, no time at all, a minimum that was lost."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import weakref
from contextvars import ContextVar
from typing import Any

import pytest

import fastpool

from ._told import Told, ToldByLoop, eventually, soon


def test_what_a_thread_opened_while_the_loop_ended_is_kept() -> None:
    entered, go, made = threading.Event(), threading.Event(), list[Told]()

    def connect() -> Told:
        entered.set()
        assert go.wait(20)
        made.append(Told())
        return made[0]

    pool = fastpool.Pool(connect, max_size=1)

    async def use() -> None:
        async with pool.aconnection():
            raise AssertionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        kept.append(asyncio.create_task(use()))
        assert await soon(entered.is_set)

    kept: list[object] = []
    asyncio.run(main())  # does not wait for the thread
    assert pool.stats().connecting == 1
    go.set()
    assert eventually(lambda: pool.stats().idle == 1)
    assert not made[0].closed
    pool.close()


def test_the_minimum_comes_back_when_all_connections_were_lost() -> None:
    """The keeper remembers in which loops connections were open."""

    async def main() -> None:
        pool = fastpool.AsyncPool(
            ToldByLoop.open, close=ToldByLoop.aclose, min_size=2, max_size=4, backoff=(0.01, 0.02)
        )
        await pool.open()
        pool.clear()
        assert await soon(lambda: pool.stats().closed["cleared"] == 2)
        assert await soon(lambda: len(pool) == 2)
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("phase", ["connect", "check"])
def test_a_time_limit_that_uvloop_ends_early_is_still_the_pools(phase: str) -> None:
    """uvloop's timers are up to a millisecond early, and the limit that ended the connect is still the pool's.

    The limit also ended the check, and not the connect for which a fraction of a millisecond seemed to be left.
    """
    uvloop = pytest.importorskip("uvloop")

    async def never(*_: object) -> bool:
        await asyncio.Event().wait()
        return True

    async def main() -> None:
        for _ in range(30):
            if phase == "connect":
                pool = fastpool.AsyncPool(never, max_size=1)
            else:
                pool = fastpool.AsyncPool(ToldByLoop.open, check=never, check_after=0, max_size=1)
                pool.checkin(await pool.checkout())
            with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
                await pool.checkout(timeout=0.0105)
            assert caught.value.phase == phase
            await pool.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_without_time_to_wait_a_dead_connection_is_replaced_as_by_a_pool() -> None:
    """It connects, as a Pool does (decision 6)."""
    fars: list[socket.socket] = []

    def connect() -> socket.socket:
        near, far = socket.socketpair()
        fars.append(far)
        return near

    sync = fastpool.Pool(connect, max_size=1, check_after=0)
    c = sync.checkout()
    sync.checkin(c)
    fars.pop().close()
    sync.checkin(sync.checkout(timeout=0))
    sync.close()

    async def main() -> None:
        pool = fastpool.AsyncPool(connect, max_size=1, check_after=0)
        pool.checkin(await pool.checkout())
        fars.pop().close()
        pool.checkin(await pool.checkout(timeout=0))
        await pool.close()

    asyncio.run(main())
    for far in fars:
        far.close()


@pytest.mark.parametrize("runner", ["asyncio", "uvloop"])
def test_what_a_request_has_in_its_context_does_not_outlive_it_while_others_wait(runner: str) -> None:
    new_loop = pytest.importorskip(runner).new_event_loop
    current: ContextVar[Any] = ContextVar("current")

    class Request: ...

    async def first_in_line(pool: fastpool.AsyncPool) -> weakref.ref[Request]:
        """This request starts the loop's timer; it is cancelled in line."""
        request = Request()
        current.set(request)
        with pytest.raises(fastpool.NoConnectionsAvailable):
            async with pool.connection(timeout=0.01):
                pass
        return weakref.ref(request)

    async def main() -> None:
        async with fastpool.AsyncPool(ToldByLoop.open, close=ToldByLoop.aclose, max_size=1) as pool:
            c = await pool.checkout()
            request = asyncio.create_task(first_in_line(pool))
            await soon(lambda: pool.stats().waiting == 1)
            other = asyncio.create_task(pool.checkout())
            await soon(lambda: pool.stats().waiting == 2)
            left = await request
            del request
            await asyncio.sleep(0)
            gc.collect()
            assert pool.stats().waiting == 1
            assert left() is None
            pool.checkin(c)
            pool.checkin(await other)

    with asyncio.Runner(loop_factory=new_loop) as loop:
        loop.run(main())


def test_a_driver_is_told_of_a_connection_whose_loop_is_closed() -> None:
    """It cannot be closed with an await any more; one driver has a thread to end, say, without."""

    ended: list[object] = []

    class Ending(fastpool.Driver[object]):
        async def connect(self, server: Any, timeout: float | None) -> object:
            return object()

        def close_without_loop(self, c: object) -> None:
            ended.append(c)

    pool = fastpool.AsyncPool(driver=Ending(), max_size=1)
    used: list[object] = []

    async def main() -> None:
        async with pool.connection() as c:
            used.append(c)

    asyncio.run(main())
    assert ended == []
    asyncio.run(main())
    assert ended == [used[0]]
    asyncio.run(pool.close())
    assert ended == used


def test_a_checkout_that_a_signal_interrupts_gives_back_what_it_had_in_hand() -> None:
    """Also while its lease is kept, by the traceback or by the program."""

    class Interrupted(fastpool.Driver[Told]):
        interrupts = False

        def connect(self, server: Any, timeout: float | None) -> Told:
            return Told()

        def fileno(self, c: Told) -> int:
            if self.interrupts:
                raise KeyboardInterrupt
            return -1

    async def main() -> None:
        driver = Interrupted()
        pool = fastpool.AsyncPool(driver=driver, max_size=1, check_after=0)
        async with pool.connection():
            pass
        lease = pool.connection()
        driver.interrupts = True
        with pytest.raises(KeyboardInterrupt):
            async with lease:
                raise AssertionError
        driver.interrupts = False
        async with pool.connection(timeout=20):
            assert pool.stats().leased == 1
        del lease
        await pool.close()

    asyncio.run(main())
