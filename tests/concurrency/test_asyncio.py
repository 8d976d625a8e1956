"""AsyncPool in one event loop: every method, every option that awaits, and cancellation at every point."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import fastpool

from ._told import ToldByLoop, at_rest, soon


def made(**options: Any) -> fastpool.AsyncPool:
    return fastpool.AsyncPool(ToldByLoop.open, close=ToldByLoop.aclose, **{"max_size": 1, "timeout": 5, **options})


def test_a_block_has_a_connection_and_the_next_block_the_same_one() -> None:
    async def main() -> None:
        async with made() as pool:
            async with pool.connection() as first:
                assert first.loop is asyncio.get_running_loop()
                assert pool.stats().leased == 1
            async with pool.connection() as second:
                assert second is first
            by_hand = await pool.checkout()
            assert by_hand is first
            pool.checkin(by_hand)
            with pytest.raises(fastpool.LeaseError):
                pool.checkin(by_hand)
            assert at_rest(pool)
        assert first.closed and first.closed_in is asyncio.get_running_loop()
        with pytest.raises(fastpool.PoolClosed):
            await pool.checkout()
        with pytest.raises(fastpool.PoolClosed):
            await pool.open()
        await pool.close()

    asyncio.run(main())


def test_plain_callables_will_do_as_well() -> None:
    async def main() -> None:
        seen: list[str] = []
        pool = fastpool.AsyncPool(
            ToldByLoop,
            close=ToldByLoop.close,
            check=lambda c: seen.append("check") or True,
            reset=lambda c: seen.append("reset"),
            check_after=0,
        )
        async with pool:
            async with pool.connection() as c:
                pass
            async with pool.connection() as again:
                assert again is c
        assert seen == ["reset", "check", "reset"]
        assert c.closed

    asyncio.run(main())


def test_open_warm_resize_clear_and_close() -> None:
    async def main() -> None:
        pool = made(min_size=2, max_size=5)
        assert len(pool) == 0, "a constructor has no loop to open connections in"
        await pool.open()
        assert len(pool) == 2
        assert await pool.warm(4) == 4
        async with pool.connection() as held:
            pool.clear()
            assert await soon(lambda: pool.stats().leased == 1 and not held.closed)
        assert await soon(lambda: held.closed)
        assert await pool.warm() == 5
        pool.resize(max_size=3)
        assert await soon(lambda: len(pool) == 3)
        await pool.close()
        assert len(pool) == 0

    asyncio.run(main())


def test_close_with_a_timeout_takes_what_is_out_and_the_block_ends_quietly() -> None:
    async def main() -> None:
        pool = made()
        async with pool.connection() as c:
            await pool.close(timeout=0.01)
            assert await soon(lambda: c.closed)
        assert len(pool) == 0

    asyncio.run(main())


def test_close_wakes_the_waiters() -> None:
    async def main() -> None:
        pool = made()
        c = await pool.checkout()
        waiter = asyncio.create_task(pool.checkout())
        assert await soon(lambda: pool.stats().waiting == 1)
        await pool.close()
        with pytest.raises(fastpool.PoolClosed):
            await waiter
        pool.checkin(c)
        assert await soon(lambda: c.closed)
        assert len(pool) == 0

    asyncio.run(main())


def test_a_connect_that_ends_after_close_leaves_nothing_open() -> None:
    async def main() -> None:
        go = asyncio.Event()
        opened: list[ToldByLoop] = []

        async def connect() -> ToldByLoop:
            await go.wait()
            opened.append(await ToldByLoop.open())
            return opened[-1]

        pool = fastpool.AsyncPool(connect, close=ToldByLoop.aclose)
        opening = asyncio.create_task(pool.checkout())
        assert await soon(lambda: pool.stats().connecting == 1)
        await pool.close()
        go.set()
        with pytest.raises(fastpool.PoolClosed):
            await opening
        assert await soon(lambda: opened[0].closed)
        assert len(pool) == 0

    asyncio.run(main())


def test_a_check_that_says_no_raises_or_hangs_costs_the_connection() -> None:
    async def main() -> None:
        verdicts = ["no", "raise", "hang", "yes"]

        async def check(c: ToldByLoop) -> bool:
            verdict = verdicts.pop(0)
            if verdict == "raise":
                raise ValueError("no")
            if verdict == "hang":
                await asyncio.Event().wait()
            return verdict == "yes"

        pool = made(check=check, check_after=0)
        seen = []
        for _ in range(3):
            async with pool.connection() as c:
                seen.append(c)
        assert seen[0] is not seen[1] is not seen[2]
        with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
            async with pool.connection(timeout=0.01):
                pass
        assert caught.value.phase == "check"
        async with pool.connection() as c:
            seen.append(c)
        async with pool.connection() as c:
            assert c is seen[-1]
        assert verdicts == []
        assert await soon(lambda: all(c.closed for c in seen[:3])) and not seen[3].closed
        await pool.close()

    asyncio.run(main())


def test_a_reset_is_over_before_anybody_else_has_the_connection() -> None:
    async def main() -> None:
        resetting = asyncio.Event()
        go = asyncio.Event()

        async def reset(c: ToldByLoop) -> None:
            resetting.set()
            await go.wait()
            c.resets += 1

        pool = made(reset=reset)
        first = await pool.checkout()
        second = asyncio.create_task(pool.checkout())
        assert await soon(lambda: pool.stats().waiting == 1)
        pool.checkin(first)
        await resetting.wait()
        await asyncio.sleep(0)
        assert not second.done()
        go.set()
        assert await second is first and first.resets == 1
        pool.checkin(first)
        await pool.close()

    asyncio.run(main())


def test_a_reset_that_raises_costs_the_connection() -> None:
    async def main() -> None:
        async def reset(c: ToldByLoop) -> None:
            raise ConnectionError("gone")

        pool = made(reset=reset)
        async with pool.connection() as first:
            pass
        assert await soon(lambda: first.closed)
        async with pool.connection() as second:
            assert second is not first
        assert pool.stats().closed["error"] == 2
        await pool.close()

    asyncio.run(main())


def test_cancelled_during_a_reset_the_reset_goes_on() -> None:
    async def main() -> None:
        resetting, go = asyncio.Event(), asyncio.Event()

        async def reset(c: ToldByLoop) -> None:
            resetting.set()
            await go.wait()

        pool = made(reset=reset)

        async def use() -> None:
            async with pool.connection():
                pass

        task = asyncio.create_task(use())
        await resetting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        assert await soon(lambda: at_rest(pool) and len(pool) == 1)
        await pool.close()

    asyncio.run(main())


def test_wait_for_timeout_and_a_failing_task_group_cost_no_slot() -> None:
    async def main() -> None:
        pool = made(max_size=2)
        held = [await pool.checkout(), await pool.checkout()]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.checkout(timeout=None), 0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                async with pool.connection(timeout=None):
                    pass
        with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
            await pool.checkout(timeout=0.01)
        assert caught.value.phase == "wait" and caught.value.waited >= 0.01
        with pytest.raises(fastpool.NoConnectionsAvailable):
            await pool.checkout(timeout=0)

        async def fail() -> None:
            assert await soon(lambda: pool.stats().waiting == 3)
            raise ValueError("mine")

        with pytest.raises(ExceptionGroup) as group:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(3):
                    tasks.create_task(pool.checkout())
                tasks.create_task(fail())
        assert group.value.subgroup(ValueError) is not None
        for c in held:
            pool.checkin(c)
        assert at_rest(pool) and pool.stats().idle == 2
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("steps", range(12))
@pytest.mark.parametrize("contended", [False, True])
def test_cancelled_after_any_number_of_steps_no_slot_is_lost(steps: int, contended: bool) -> None:
    async def main() -> None:
        pool = made(check=_check, check_after=0, reset=_reset)
        holder = await pool.checkout()
        if not contended:
            pool.checkin(holder)
            assert await soon(lambda: at_rest(pool))

        async def use() -> None:
            async with pool.connection() as c:
                c.use()
                try:
                    await asyncio.sleep(0)
                finally:
                    c.leave()

        task = asyncio.create_task(use())
        for step in range(steps):
            if contended and step == 2:
                pool.checkin(holder)
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if contended and steps <= 2:
            pool.checkin(holder)
        assert await soon(lambda: at_rest(pool))
        async with pool.connection(timeout=1) as c:
            assert not c.closed
        await pool.close()

    async def _check(c: ToldByLoop) -> bool:
        await asyncio.sleep(0)
        return True

    async def _reset(c: ToldByLoop) -> None:
        await asyncio.sleep(0)

    asyncio.run(main())


def test_cancelled_at_the_very_hand_off_the_next_in_line_is_served() -> None:
    async def main() -> None:
        pool = made()
        for _ in range(50):
            c = await pool.checkout()
            first, second = (asyncio.create_task(pool.checkout()) for _ in range(2))
            assert await soon(lambda: pool.stats().waiting == 2)
            pool.checkin(c)  # handed to the first waiter, which has not run yet
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await second is c
            pool.checkin(c)
        assert at_rest(pool)
        await pool.close()

    asyncio.run(main())


def test_first_come_first_served() -> None:
    async def main() -> None:
        pool = made()
        order: list[int] = []

        async def use(n: int) -> None:
            async with pool.connection():
                order.append(n)

        c = await pool.checkout()
        tasks = []
        for n in range(20):
            tasks.append(asyncio.create_task(use(n)))
            assert await soon(lambda n=n: pool.stats().waiting == n + 1)
        pool.checkin(c)
        await asyncio.gather(*tasks)
        assert order == list(range(20))
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("seed", range(3))
def test_random_cancellations_lose_no_slot(seed: int) -> None:
    rng = random.Random(seed)

    async def main() -> None:
        pool = made(max_size=3, timeout=None)

        async def use() -> None:
            async with pool.connection(timeout=rng.choice([None, 0.001, 1])) as c:
                c.use()
                try:
                    for _ in range(rng.randrange(3)):
                        await asyncio.sleep(0)
                finally:
                    c.leave()

        live: set[asyncio.Task[None]] = set()
        for _ in range(2000):
            live.add(asyncio.create_task(use()))
            if rng.random() < 0.4:
                rng.choice(list(live)).cancel()
            if len(live) > 12:
                done, live = await asyncio.wait(live, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not task.cancelled() and task.exception() is not None:
                        assert isinstance(task.exception(), fastpool.NoConnectionsAvailable)
        await asyncio.gather(*live, return_exceptions=True)
        assert await soon(lambda: at_rest(pool))
        together = [await pool.checkout(timeout=1) for _ in range(3)]
        assert len(set(map(id, together))) == 3
        for c in together:
            pool.checkin(c)
        await pool.close()

    asyncio.run(main())
