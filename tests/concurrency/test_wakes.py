"""Tasks that are served in one iteration of their loop resume in the next with one call_soon, and none is lost."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any

import pytest

import fastpool
from tests._slots import in_hand
from tests.process._scripts import run

from ._told import at_rest
from ._waking import Connection, Struck, StruckLoop, made

MANY = 8


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the calls of call_soon."""

    given = 0

    def call_soon(self, *args: Any, **kwargs: Any) -> Any:
        self.given += 1
        return super().call_soon(*args, **kwargs)


async def in_line(pool: Any, *steps: Any) -> list[asyncio.Task[Any]]:
    """Tasks of these coroutines, all of which wait in line."""
    tasks = [asyncio.ensure_future(one) for one in steps]
    while pool.stats().waiting < len(tasks):
        await asyncio.sleep(0)
    return tasks


def test_all_tasks_served_in_one_iteration_resume_with_one_call_in_their_order() -> None:
    order: list[int] = []

    async def use(pool: Any, number: int) -> None:
        async with pool.connection():
            order.append(number)
            await asyncio.sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        pool = made(max_size=MANY)
        held = [await pool.checkout() for _ in range(MANY)]
        tasks = await in_line(pool, *(use(pool, number) for number in range(2 * MANY)))
        before = loop.given
        for c in held:
            pool.checkin(c)
        assert loop.given - before == 1 and pool.stats().waiting == MANY and not order
        await asyncio.sleep(0)
        assert order == list(range(MANY))
        await asyncio.gather(*tasks)
        assert order == list(range(2 * MANY)) and at_rest(pool)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())


def test_each_goes_on_in_its_own_context() -> None:
    mine: contextvars.ContextVar[int] = contextvars.ContextVar("mine")

    async def use(pool: Any, number: int) -> bool:
        mine.set(number)
        async with pool.connection():
            return mine.get() == number

    async def main() -> None:
        mine.set(-1)
        pool = made(max_size=MANY)
        held = [await pool.checkout() for _ in range(MANY)]
        tasks = await in_line(pool, *(use(pool, number) for number in range(MANY)))
        for c in held:
            pool.checkin(c)
        assert all(await asyncio.gather(*tasks)) and mine.get() == -1

    asyncio.run(main())


@pytest.mark.parametrize("strike", [None, "before", "after"])
def test_a_task_that_ends_the_loop_does_not_cost_the_others_their_wake_up(strike: str | None) -> None:
    """SystemExit and KeyboardInterrupt leave the loop at once; the tasks not yet resumed are resumed when it runs
    again.

    That holds even if a signal handler raises while the rest is scheduled again.
    """
    loop = StruckLoop()
    order: list[int] = []

    async def use(pool: Any, number: int) -> None:
        async with pool.connection():
            order.append(number)
            if number == 1:
                loop.strike = strike
                raise SystemExit

    async def main() -> tuple[Any, list[asyncio.Task[None]]]:
        pool = made(max_size=4)
        held = [await pool.checkout() for _ in range(4)]
        tasks = await in_line(pool, *(use(pool, number) for number in range(4)))
        loop.call_soon(lambda: [pool.checkin(c) for c in held])
        return pool, tasks

    pool, tasks = loop.run_until_complete(main())
    with pytest.raises((SystemExit, Struck)):
        loop.run_forever()
    assert order == [0, 1]
    loop.run_until_complete(asyncio.wait(tasks))
    assert order == [0, 1, 2, 3] and at_rest(pool)
    with pytest.raises(SystemExit):
        tasks[1].result()
    loop.run_until_complete(pool.close())
    loop.close()


def test_a_loop_that_is_closed_first_releases_all_slots() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # for tasks that are destroyed while they wait
    pool = fastpool.Pool(Connection, max_size=2, timeout=30)
    held = [pool.checkout(), pool.checkout()]

    async def use() -> None:
        async with pool.aconnection():
            raise AssertionError("its loop is closed")

    tasks = loop.run_until_complete(in_line(pool, use(), use()))
    loop.call_soon(lambda: [pool.checkin(c) for c in held])
    loop.call_soon(loop.stop)  # at the end of the same iteration
    loop.run_forever()
    assert (pool.stats().waiting, in_hand(pool)) == (0, 2), "both are served, and have not gone on"
    loop.close()
    gone = weakref.ref(loop)
    del loop, tasks
    gc.collect()
    assert gone() is None and at_rest(pool)


NESTED = """
    import asyncio, sys
    import nest_asyncio
    import fastpool

    async def use(pool, number):
        async with pool.connection():
            served[number].set()
            if number == 0:
                # no wait_for: with nest_asyncio asyncio.current_task knows of no task from 3.14 on
                asyncio.get_running_loop().run_until_complete(served[last].wait())

    async def main():
        async def connection():
            return object()
        pool = fastpool.AsyncPool(connection, max_size=len(served), timeout=30, close=lambda c: None)
        held = [await pool.checkout() for _ in served]
        tasks = [asyncio.ensure_future(use(pool, number)) for number in range(len(served))]
        while pool.stats().waiting < len(served):
            await asyncio.sleep(0)
        for c in held:
            pool.checkin(c)
        await asyncio.gather(*tasks)
        stats = pool.stats()
        assert (stats.idle, stats.leased, stats.waiting) == (len(served), 0, 0), stats
        print("well")

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    nest_asyncio.apply(loop)
    served = [asyncio.Event() for _ in range(3)]
    last = int(sys.argv[1])
    loop.run_until_complete(main())
"""


@pytest.mark.parametrize("last", ["1", "2"])
def test_a_loop_that_runs_within_a_step_comes_to_the_others(last: str) -> None:
    """As with nest_asyncio: a task of the batch runs the loop within its step, and waits there for another of the
    batch."""
    pytest.importorskip("nest_asyncio")
    assert run(NESTED, last).split() == ["well"]
