"""AsyncFastPool: tasks on an engine of asyncio, by aiosqlite."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("aiosqlite")
pytest.importorskip("greenlet")

import sqlalchemy
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

import fastpool
from fastpool.adapters.sqlalchemy import AsyncFastPool, FastPool
from tests.pool.fake_driver import PATIENCE

from ._sqlalchemy_aio import ONE, Opened, ask, loses_files, no_thread_of_aiosqlite, on, pool_of, run, soon, terminates

__all__ = ["on"]  # a fixture


def test_tasks_wait_in_line_and_the_loop_goes_on(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=0) as engine:
            held = await engine.connect()
            waiters = [asyncio.create_task(ask(engine)) for _ in range(5)]
            await soon(lambda: pool_of(engine).stats().waiting == 5)
            assert await held.scalar(ONE) == 1  # in this loop, while five of its tasks wait
            await held.close()
            await asyncio.gather(*waiters)
            assert (on.opened, pool_of(engine).stats().waits) == (1, 5)

    run(main)


def test_sizes_and_errors(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=1, pool_timeout=0) as engine:
            pool = pool_of(engine)
            held = [await engine.connect(), await engine.connect()]
            assert (pool.size(), pool.checkedin(), pool.overflow(), pool.checkedout()) == (1, 0, 1, 2)
            with pytest.raises(sqlalchemy.exc.TimeoutError, match="limit of size 1 overflow 1 reached") as caught:
                await engine.connect()
            assert isinstance(caught.value, fastpool.NoConnectionsAvailable)
            for c in held:
                await c.close()
            await soon(lambda: pool.stats().closed["max_idle"] == 1)
            assert pool.checkedin() == 1

    run(main)


@pytest.mark.parametrize(("kind", "make"), [(AsyncFastPool, create_engine), (FastPool, create_async_engine)])
def test_the_pool_of_the_other_kind_of_engine_is_refused(kind: Any, make: Any) -> None:
    url = "sqlite://" if make is create_engine else "sqlite+aiosqlite://"
    with pytest.raises(sqlalchemy.exc.ArgumentError, match="cannot be used with"):
        make(url, poolclass=kind)


@loses_files
def test_outside_of_sqlalchemys_greenlets_it_says_so_and_loses_nothing(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=0) as engine:
            with pytest.raises(sqlalchemy.exc.MissingGreenlet):
                pool_of(engine).connect()
            await ask(engine)
            held = await engine.connect()
            with pytest.raises(sqlalchemy.exc.MissingGreenlet):
                pool_of(engine).connect()
            assert pool_of(engine).stats().waiting == 0
            await held.close()
            await ask(engine)

    run(main)
    gc.collect()


# ---- cancellation


def test_a_task_cancelled_in_line_takes_nothing_with_it(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=0) as engine:
            held = await engine.connect()
            first, second = (asyncio.create_task(ask(engine)) for _ in range(2))
            await soon(lambda: pool_of(engine).stats().waiting == 2)
            first.cancel()
            await soon(first.done)
            await held.close()
            await second
            assert (first.cancelled(), pool_of(engine).stats().cancelled) == (True, 1)

    run(main)


def test_a_task_cancelled_as_it_is_served_passes_its_connection_on(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=0) as engine:
            held = await engine.connect()
            first, second = (asyncio.create_task(ask(engine)) for _ in range(2))
            await soon(lambda: pool_of(engine).stats().waiting == 2)
            await held.close()  # nothing runs between the return of the connection and the end of this await
            first.cancel()
            await second
            assert first.cancelled()
            assert pool_of(engine).checkedin() == 1

    run(main)


@loses_files
def test_a_task_cancelled_while_it_connects_leaves_room(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=1, max_overflow=0, pool_timeout=PATIENCE) as engine:
            never = asyncio.get_running_loop().create_future()
            begun = asyncio.Event()
            hang = True

            @event.listens_for(engine.sync_engine, "do_connect", insert=True)
            def connect(dialect: Any, record: Any, cargs: Any, cparams: Any) -> None:
                if hang:
                    begun.set()
                    sqlalchemy.util.await_only(never)

            task = asyncio.create_task(ask(engine))
            await begun.wait()
            assert pool_of(engine).checkedout() == 1
            task.cancel()
            await soon(task.done)
            hang = False
            await ask(engine)
            assert (task.cancelled(), pool_of(engine).checkedin()) == (True, 1)

    run(main)
    gc.collect()


@loses_files
@terminates
@pytest.mark.parametrize("seed", range(3))
def test_cancelled_anywhere_the_pool_stays_whole(on: Opened, seed: int) -> None:
    draw = random.Random(seed)

    async def main() -> None:
        async with on.engine(pool_size=2, max_overflow=1) as engine:
            for _ in range(8):
                tasks = [asyncio.create_task(ask(engine)) for _ in range(10)]
                for task in draw.sample(tasks, 6):
                    for _ in range(draw.randrange(12)):
                        await asyncio.sleep(0)
                    task.cancel()
                results = await asyncio.gather(*tasks, return_exceptions=True)
                assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
            pool = pool_of(engine)
            await soon(lambda: pool.checkedout() == 0)
            held = [await engine.connect() for _ in range(3)]
            assert pool.checkedout() == 3
            for c in held:
                assert await c.scalar(ONE) == 1
                await c.close()

    run(main)
    gc.collect()


# ---- loops


def test_one_loop_after_another(on: Opened) -> None:
    """A connection is used in its own loop only; that of a closed loop is ended without one, and so is its thread."""
    url = f"sqlite+aiosqlite:///{on.folder}/db"
    engine = create_async_engine(url, poolclass=AsyncFastPool, pool_size=1, max_overflow=0, pool_timeout=PATIENCE)
    used: list[Any] = []

    async def use() -> None:
        async with engine.connect() as c:
            used.append((await c.get_raw_connection()).driver_connection)

    async def end() -> None:
        await use()
        await engine.dispose()
        await soon(no_thread_of_aiosqlite)

    run(use)
    run(end)
    assert used[0] is not used[1]


def test_two_loops_at_once_do_not_share_connections(on: Opened) -> None:
    url = f"sqlite+aiosqlite:///{on.folder}/db"
    engine = create_async_engine(url, poolclass=AsyncFastPool, pool_size=4, pool_timeout=PATIENCE)
    used: dict[int, set[object]] = {0: set(), 1: set()}
    both = threading.Barrier(2)

    async def first() -> None:
        await ask(engine)
        pool_of(engine).clear()
        await soon(no_thread_of_aiosqlite)

    async def use(number: int) -> None:
        for _ in range(20):
            async with engine.connect() as c:
                used[number].add((await c.get_raw_connection()).driver_connection)
                assert await c.scalar(ONE) == 1
        await asyncio.to_thread(both.wait, PATIENCE)
        await engine.dispose()
        await asyncio.to_thread(both.wait, PATIENCE)
        await soon(no_thread_of_aiosqlite)

    run(first)  # where two loops make a pool's first connection together, they block each other in SQLAlchemy
    threads = [threading.Thread(target=lambda number=number: run(lambda: use(number))) for number in used]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 2)
    assert used[0]
    assert used[1]
    assert not used[0] & used[1]


def test_dispose_waits_until_idle_connections_are_closed(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=2) as engine:
            closed: list[object] = []
            out = await engine.connect()
            await ask(engine)
            event.listen(engine.sync_engine, "close", lambda c, record: closed.append(c))
            old = pool_of(engine)
            await engine.dispose()
            assert (len(closed), old.checkedin(), old.checkedout()) == (1, 0, 1)
            await out.close()
            await soon(lambda: len(closed) == 2)
            assert (old.checkedin(), old.checkedout()) == (0, 0)

    run(main)


def test_open_warm_and_close(on: Opened) -> None:
    async def main() -> None:
        async with on.engine(pool_size=3, min_size=2) as engine:
            pool = pool_of(engine)
            await pool.open()
            assert (pool.checkedin(), await pool.warm(), on.opened) == (2, 3, 3)
            await pool.close()
            assert pool.checkedin() == 0
            with pytest.raises(fastpool.PoolClosed) as caught:
                await engine.connect()
            assert isinstance(caught.value, sqlalchemy.exc.TimeoutError)

    run(main)


def test_open_in_the_constructor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"await pool\.open\(\)"):
        AsyncFastPool(lambda: None, open=True)
