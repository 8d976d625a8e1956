"""How long does a checkout + checkin take in asyncio, alone and where tasks wait for each other?

Beside asyncio's own queue, which holds stubs and knows nothing of them, and the pools that users would take there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fastpool._compare.stubs import RedisStub, Stub

CYCLES = 500
TASKS = 4

Use = Callable[[bool], Awaitable[None]]
"""One checkout and checkin; whether it lets the other tasks run in between."""


class AsyncStub(Stub):
    """A connection that does nothing, for pools that await its end."""

    async def close(self) -> None:  # type: ignore[override]
        pass


class AsyncRedisStub(RedisStub):
    """The same as redis.asyncio's pool looks at it."""

    async def connect(self) -> None:  # type: ignore[override]
        pass

    async def disconnect(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
        pass

    async def can_read(self, timeout: float = 0) -> bool:  # type: ignore[override]
        return False

    async def re_auth(self) -> None:  # type: ignore[override]
        pass


async def opened() -> AsyncStub:
    return AsyncStub()


@asynccontextmanager
async def fastpool_async_pool(size: int) -> AsyncIterator[Use]:
    import fastpool

    async with fastpool.AsyncPool(opened, max_size=size, timeout=None) as pool:

        async def use(yielding: bool) -> None:
            async with pool.connection():
                if yielding:
                    await asyncio.sleep(0)

        yield use


@asynccontextmanager
async def asyncio_queue(size: int) -> AsyncIterator[Use]:
    queue: asyncio.LifoQueue[Stub] = asyncio.LifoQueue()
    for _ in range(size):
        queue.put_nowait(Stub())

    async def use(yielding: bool) -> None:
        c = await queue.get()
        if yielding:
            await asyncio.sleep(0)
        queue.put_nowait(c)

    yield use


@asynccontextmanager
async def aiohappybase_pool(size: int) -> AsyncIterator[Use]:
    pytest.importorskip("fastpool.aio", exc_type=ImportError)
    import aiohappybase

    async with aiohappybase.ConnectionPool(size) as pool:
        while not pool._queue.empty():
            pool._queue.get_nowait()
        for _ in range(size):
            c = aiohappybase.Connection()
            c.client = Stub()  # open, as far as the pool looks
            pool._queue.put_nowait(c)

        async def use(yielding: bool) -> None:
            async with pool.connection():
                if yielding:
                    await asyncio.sleep(0)

        yield use


@asynccontextmanager
async def redis_blocking_pool(size: int) -> AsyncIterator[Use]:
    redis = pytest.importorskip("redis.asyncio")
    pool = redis.BlockingConnectionPool(connection_class=AsyncRedisStub, max_connections=size, timeout=None)

    async def use(yielding: bool) -> None:
        c = await pool.get_connection()
        if yielding:
            await asyncio.sleep(0)
        await pool.release(c)

    yield use
    await pool.disconnect()


RIVALS = (fastpool_async_pool, asyncio_queue, aiohappybase_pool, redis_blocking_pool)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.__name__)
@pytest.mark.parametrize(("size", "tasks"), [(8, 1), (2, TASKS)], ids=["alone", "contended"])
def test_asyncio(benchmark: Any, runner: asyncio.Runner, rival: Any, size: int, tasks: int) -> None:
    async def enter() -> tuple[Any, Use]:
        block = rival(size)
        return block, await block.__aenter__()

    async def cycles(use: Use) -> None:
        async def many() -> None:
            for _ in range(CYCLES // tasks):
                await use(tasks > 1)

        await (many() if tasks == 1 else asyncio.gather(*(many() for _ in range(tasks))))

    block, use = runner.run(enter())
    benchmark.group = f"asyncio: {tasks} task{'s' * (tasks > 1)} on {size} connections ({CYCLES} cycles a round)"
    benchmark.pedantic(lambda: runner.run(cycles(use)), rounds=30, warmup_rounds=2)
    runner.run(block.__aexit__(None, None, None))
