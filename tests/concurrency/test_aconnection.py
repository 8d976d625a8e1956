"""aconnection(): what a task's lease on a synchronous pool does in the loop's thread, and what it must not do there."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import threading
from typing import Any

import pytest

import fastpool
from fastpool.testing import VirtualClock

from ._task_ways import EVERY_LOOP, LOOPS, run
from ._told import Told, at_rest

HERE = [loop for loop in LOOPS if loop == "asyncio" or importlib.util.find_spec(loop)]


@pytest.mark.parametrize("why", ["max_uses", "lifetime", "max_idle", "discarded", "cleared", "closed", "error"])
def test_aconnection_closes_in_a_thread_whatever_it_closes_for(why: str) -> None:
    options: dict[str, Any] = {
        "max_uses": {"max_uses": 1},
        "lifetime": {"max_lifetime": 60, "timing": True},
        "max_idle": {"max_idle": 0},
    }
    pool = fastpool.Pool(Told, max_size=2, **options.get(why, {}))

    async def main(stopped: VirtualClock | None) -> None:
        lease = pool.aconnection()
        try:
            async with lease as c:
                if why == "discarded":
                    lease.discard()
                elif why == "cleared":
                    pool.clear()
                elif why == "closed":
                    pool.close()
                elif why == "lifetime":
                    assert stopped is not None
                    stopped.advance(60)
                elif why == "error":
                    raise KeyError
        except KeyError:
            assert why == "error"
        assert c.closed and c.closed_in != threading.get_ident()
        assert pool.stats().closed[why] == 1

    if why == "lifetime":
        with VirtualClock() as stopped:
            asyncio.run(main(stopped))
    else:
        asyncio.run(main(None))
    pool.close()


def test_aconnection_that_keeps_its_connection_takes_no_thread() -> None:
    pool = fastpool.Pool(Told, max_size=1, max_uses=9, max_lifetime=600, max_idle=1)

    async def main() -> None:
        async with pool.aconnection():
            pass
        loop = asyncio.get_running_loop()
        loop.run_in_executor = None  # type: ignore[assignment,method-assign]
        for _ in range(3):
            async with pool.aconnection():
                pass
        del loop.run_in_executor

    asyncio.run(main())
    pool.close()


def pool_of_one(**options: Any) -> fastpool.Pool:
    return fastpool.Pool(Told, **{"max_size": 1, "timeout": 20, **options})


def test_tasks_of_several_loops_share_a_pool_and_its_connections() -> None:
    pool = pool_of_one(max_size=2)
    seen: set[int] = set()
    failures: list[BaseException] = []

    async def use() -> None:
        for _ in range(50):
            async with pool.aconnection() as c:
                c.use()
                seen.add(c.number)
                await asyncio.sleep(0)
                c.leave()

    async def main() -> None:
        await asyncio.gather(*(use() for _ in range(4)))

    def live(loop: str) -> None:
        try:
            run(loop, main)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=live, args=(loop,)) for loop in [*HERE, "asyncio"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive()
    assert failures == []
    assert at_rest(pool) and len(seen) == pool.stats().connects == 2, "a connection is no loop's own here"
    assert pool.stats().checkouts == len(threads) * 4 * 50
    pool.close()


@EVERY_LOOP
def test_a_second_run_gets_the_connection_of_the_first(loop: str) -> None:
    pool = pool_of_one()
    had: list[Told] = []

    async def main() -> None:
        async with pool.aconnection() as c:
            had.append(c)

    run(loop, main)
    run(loop, main)
    assert had[0] is had[1] and not had[0].closed
    pool.close()


@EVERY_LOOP
def test_a_loop_that_is_closed_while_its_task_waits_costs_nothing(loop: str) -> None:
    pool = pool_of_one(timeout=None)
    waiter = asyncio.new_event_loop() if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop()

    async def use() -> None:
        async with pool.aconnection():
            raise AssertionError

    c = pool.checkout()
    waiting = waiter.create_task(use())
    waiter.run_until_complete(asyncio.sleep(0))
    assert pool.stats().waiting == 1
    waiting._log_destroy_pending = False
    waiter.close()
    pool.checkin(c)  # the waiter cannot be woken: the connection stays free
    assert at_rest(pool) and pool.stats().idle == 1
    assert pool.checkout(timeout=1) is c
    pool.checkin(c)
    del waiting
    gc.collect()
    assert at_rest(pool)
    pool.close()


def test_a_run_that_ends_while_a_task_waits_takes_it_out_of_the_line() -> None:
    pool = pool_of_one(timeout=None)

    async def use() -> None:
        async with pool.aconnection():
            raise AssertionError

    async def main() -> None:
        kept.append(asyncio.create_task(use()))
        while pool.stats().waiting == 0:
            await asyncio.sleep(0)

    kept: list[Any] = []
    c = pool.checkout()
    asyncio.run(main())
    assert kept[0].cancelled() and pool.stats().waiting == 0 and pool.stats().cancelled == 1
    pool.checkin(c)
    assert at_rest(pool)
    pool.close()
