"""Several event loops on one AsyncPool, concurrently and in sequence; leases of tasks, nested and as decorators."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import fastpool
from tests.process._scripts import run

from ._told import Told, ToldByLoop, at_rest, soon


def made(**options: Any) -> fastpool.AsyncPool:
    return fastpool.AsyncPool(ToldByLoop.open, close=ToldByLoop.aclose, **{"max_size": 1, "timeout": 5, **options})


def in_threads(*mains: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run each in a thread with its own event loop; raises what any of them raises."""
    errors: list[BaseException] = []

    def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(main,)) for main in mains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_no_loop_gets_another_loops_connection() -> None:
    pool = made(max_size=2)
    used = 0

    async def main() -> None:
        nonlocal used
        loop = asyncio.get_running_loop()

        async def use() -> None:
            nonlocal used
            for _ in range(50):
                async with pool.connection(timeout=30) as c:
                    assert c.loop is loop
                    c.use()
                    await asyncio.sleep(0)
                    c.leave()
                    used += 1

        await asyncio.gather(*(use() for _ in range(3)))
        await asyncio.sleep(0)

    in_threads(main, main, main)
    assert used == 450
    assert at_rest(pool)


def test_room_is_made_by_closing_another_loops_idle_connection_in_its_own_loop() -> None:
    pool = made()
    idle, done = threading.Event(), threading.Event()
    theirs: list[ToldByLoop] = []

    async def first() -> None:
        async with pool.connection() as c:
            theirs.append(c)
        idle.set()
        assert await soon(lambda: c.closed)
        assert c.closed_in is asyncio.get_running_loop()
        assert await soon(done.is_set)

    async def second() -> None:
        assert await asyncio.to_thread(idle.wait, 10)
        async with pool.connection() as c:
            assert c is not theirs[0] and c.loop is asyncio.get_running_loop()
        done.set()
        await pool.close()

    in_threads(first, second)


def test_own_loops_idle_connection_and_room_come_before_another_loops() -> None:
    pool = made(max_size=2)
    first_idle, over = threading.Event(), threading.Event()
    kept: list[ToldByLoop] = []

    async def first() -> None:
        async with pool.connection() as c:
            kept.append(c)
        first_idle.set()
        assert await soon(over.is_set)
        async with pool.connection() as again:
            assert again is c and not c.closed

    async def second() -> None:
        assert await asyncio.to_thread(first_idle.wait, 10)
        seen = set()
        for _ in range(5):
            async with pool.connection() as c:
                seen.add(c)
        assert len(seen) == 1 and kept[0] not in seen
        over.set()

    in_threads(first, second)


def test_a_second_run_gets_new_connections_and_the_closed_loops_are_dropped() -> None:
    pool = made(max_size=3)

    async def main() -> list[ToldByLoop]:
        held = [await pool.checkout() for _ in range(2)]
        for c in held:
            pool.checkin(c)
        return held

    first = asyncio.run(main())
    second = asyncio.run(main())
    assert not {c.number for c in first} & {c.number for c in second}
    assert pool.stats().size == 2, "the closed loop's were dropped"
    assert pool.stats().closed["dead"] == 2
    asyncio.run(pool.close())


def test_a_loop_that_is_closed_while_its_task_waits_costs_nothing() -> None:
    pool = made(timeout=None)
    holder, waiter = asyncio.new_event_loop(), asyncio.new_event_loop()
    c = holder.run_until_complete(pool.checkout())
    waiting = waiter.create_task(pool.checkout())
    waiter.run_until_complete(asyncio.sleep(0))
    assert pool.stats().waiting == 1
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
    waiter.close()
    pool.checkin(c)  # the waiter cannot be woken: the connection stays free
    assert at_rest(pool) and pool.stats().idle == 1
    assert holder.run_until_complete(pool.checkout(timeout=1)) is c
    pool.checkin(c)
    del waiting
    gc.collect()
    assert at_rest(pool)
    holder.run_until_complete(pool.close())
    holder.close()


def test_checkin_from_another_thread_serves_the_task_that_waits() -> None:
    async def main() -> None:
        pool = made()
        c = await pool.checkout()
        waiting = asyncio.create_task(pool.checkout())
        assert await soon(lambda: pool.stats().waiting == 1)
        await asyncio.to_thread(pool.checkin, c)
        assert await waiting is c
        pool.checkin(c)
        await pool.close()

    asyncio.run(main())


def test_nested_is_per_task() -> None:
    async def main() -> None:
        pool = made(max_size=2, nested=True)

        async def other(mine: ToldByLoop) -> None:
            async with pool.connection() as c:
                assert c is not mine

        async with pool.connection() as outer:
            async with pool.connection() as inner:
                assert inner is outer
            assert pool.stats().leased == 1
            await asyncio.create_task(other(outer))
            with pytest.raises(ValueError):
                async with pool.connection():
                    raise ValueError
        assert at_rest(pool)
        assert await soon(lambda: outer.closed), "an inner block's failure costs the connection in the end"
        await pool.close()

    asyncio.run(main())


PYTHON_PART = """
    import asyncio, sys
    asyncio.Task = asyncio.tasks.Task = asyncio.tasks._PyTask  # what nest_asyncio does
    import fastpool

    async def connection():
        return object()

    async def on_tasks(pool):
        async with pool.connection() as c, pool.connection() as d:
            return await meet(c, d)

    async def on_threads(pool):
        with pool.connection() as c, pool.connection() as d:
            return await meet(c, d)

    async def meet(c, d):
        assert c is d
        inside.append(c)
        while len(inside) < 3:
            await asyncio.sleep(0)

    async def main(pool, use):
        await asyncio.gather(*(use(pool) for _ in range(3)))
        assert len({id(c) for c in inside}) == 3, "tasks share a connection"
        assert (pool.stats().leased, pool.stats().idle) == (0, 3)

    inside = []
    options = dict(max_size=3, nested=True, timeout=30)
    if sys.argv[1] == "AsyncPool":
        asyncio.run(main(fastpool.AsyncPool(connection, **options, close=lambda c: None), on_tasks))
    else:
        asyncio.run(main(fastpool.Pool(object, **options), on_threads))
    print("well")
"""


@pytest.mark.parametrize("kind", ["AsyncPool", "Pool"])
def test_nested_is_per_task_also_for_those_that_asyncios_python_part_runs(kind: str) -> None:
    assert run(PYTHON_PART, kind).split() == ["well"]


def test_a_task_that_would_wait_for_itself_is_told_at_once() -> None:
    async def main() -> None:
        pool = made(timeout=None)
        async with pool.connection():
            with pytest.raises(fastpool.PoolDeadlock):
                async with pool.connection():
                    raise AssertionError
            other = asyncio.create_task(pool.checkout())  # not a deadlock: this task holds, and does not wait
            assert await soon(lambda: pool.stats().waiting == 1)
        pool.checkin(await other)
        await pool.close()

    asyncio.run(main())


def test_given_back_by_hand_and_asked_for_again_it_is_not_shared_while_it_is_reset() -> None:
    going, go = asyncio.Event(), asyncio.Event()

    async def reset(c: ToldByLoop) -> None:
        going.set()
        await go.wait()
        c.resets += 1

    async def main() -> None:
        pool = made(nested=True, reset=reset)
        c = await pool.checkout()
        pool.checkin(c)
        await going.wait()
        asyncio.get_running_loop().call_soon(go.set)
        async with pool.connection() as again:
            assert again is c and c.resets == 1
        await pool.close()

    asyncio.run(main())


def test_as_a_decorator_every_call_has_a_lease_of_its_own() -> None:
    async def main() -> None:
        pool = made(max_size=3)

        @pool.connection()
        async def leased(together: asyncio.Barrier) -> int:
            await together.wait()
            return pool.stats().leased

        assert leased.__name__ == "leased"
        three = asyncio.Barrier(3)
        assert 3 in await asyncio.gather(leased(three), leased(three), leased(three))
        assert await leased(asyncio.Barrier(1)) == 1
        assert at_rest(pool)
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", True])
def test_a_bad_timeout_is_told_when_it_is_given(timeout: Any) -> None:
    pool = made()
    sync = fastpool.Pool(Told)
    for give in (pool.connection, sync.aconnection):
        with pytest.raises((TypeError, ValueError), match="timeout"):
            give(timeout)


def test_a_lease_is_good_for_one_block() -> None:
    async def main() -> None:
        pool = made()
        lease = pool.connection()
        async with lease as c:
            lease.discard()
        assert await soon(lambda: c.closed)
        with pytest.raises(fastpool.LeaseError):
            async with lease:
                raise AssertionError
        with pytest.raises(TypeError, match="context manager"):
            with pool:
                raise AssertionError
        await pool.close()

    asyncio.run(main())


def test_tasks_and_threads_wait_in_one_line_of_a_synchronous_pool() -> None:
    pool = fastpool.Pool(Told, max_size=1, timeout=20)
    order: list[str] = []

    def thread(name: str) -> None:
        with pool.connection():
            order.append(name)

    async def task(name: str) -> None:
        async with pool.aconnection():
            order.append(name)

    async def main() -> None:
        c = pool.checkout()
        waiting: list[Any] = []
        for n in range(3):
            waiting.append(asyncio.create_task(task(f"task {n}")))
            assert await soon(lambda n=n: pool.stats().waiting == 2 * n + 1)
            waiting.append(asyncio.create_task(asyncio.to_thread(thread, f"thread {n}")))
            assert await soon(lambda n=n: pool.stats().waiting == 2 * n + 2)
        pool.checkin(c)
        await asyncio.gather(*waiting)

    asyncio.run(main())
    assert order == [f"{kind} {n}" for n in range(3) for kind in ("task", "thread")]
    assert at_rest(pool)


def test_aconnection_does_in_a_thread_what_may_block() -> None:
    where: dict[str, int] = {}

    def noted(what: str) -> Callable[[Any], bool]:
        def call(c: Any) -> bool:
            where[what] = threading.get_ident()
            return True

        return call

    def connect() -> Told:
        where["connect"] = threading.get_ident()
        return Told()

    pool = fastpool.Pool(
        connect, close=noted("close"), check=noted("check"), reset=noted("reset"), check_after=0, max_size=1
    )

    async def main() -> None:
        for _ in range(2):
            async with pool.aconnection():
                pass
        with pytest.raises(ValueError, match="mine"):
            async with pool.aconnection():
                raise ValueError("mine")
        assert set(where) == {"connect", "close", "check", "reset"}
        assert threading.get_ident() not in where.values()

        @pool.aconnection()
        async def decorated() -> int:
            return pool.stats().leased

        assert await decorated() == 1

    asyncio.run(main())
    assert at_rest(pool)
    pool.close()


def test_resized_cancelled_and_served_from_a_thread() -> None:
    async def main() -> None:
        pool = made(max_size=2)
        c = await pool.checkout()
        pool.resize(max_size=1)
        waiting = [asyncio.create_task(pool.checkout()) for _ in range(3)]
        assert await soon(lambda: pool.stats().waiting == 3)
        waiting[0].cancel()
        await asyncio.to_thread(pool.checkin, c)
        assert await waiting[1] is c
        pool.checkin(c)
        assert await waiting[2] is c
        pool.checkin(c)
        assert at_rest(pool)
        await pool.close()

    asyncio.run(main())
