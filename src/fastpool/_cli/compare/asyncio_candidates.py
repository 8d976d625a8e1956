"""Pools for asyncio's tasks, each used in its shortest way, and asyncio's own queue.

Connections are stubs, so what is seen is the pool; asyncpg's pool, which gives each connection a `reset` when it comes
back, has one that sends nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from itertools import repeat
from types import SimpleNamespace
from typing import Any

from .candidates import Address, Candidate
from .ratios import Cycles
from .stubs import AsyncPgProtocol, AsyncRedisStub, AsyncStub, Stub

Use = Callable[[int, bool, bool], Coroutine[Any, Any, None]]
"""Awaits this many cycles; whether the task lets others run while it holds, and whether once more afterwards."""

Open = Callable[[int], Any]
"""An async context manager that gives a Use, for a pool of this many connections."""


def in_a_loop(open_: Open) -> Any:
    """The builder of a candidate whose cycles are done by ``tasks`` tasks of one loop, which runs meanwhile."""

    @contextmanager
    def build(size: int, address: Address | None) -> Iterator[Any]:
        with asyncio.Runner() as runner:
            block = open_(size)
            use: Use = runner.run(block.__aenter__())

            async def many(n: int, tasks: int, rest: bool, apart: bool) -> None:
                await asyncio.gather(*(use(n // tasks, rest, apart) for _ in range(tasks)))

            def cycles(n: int, tasks: int = 1, rest: bool = False, apart: bool = False) -> None:
                runner.run(use(n, rest, apart) if tasks == 1 else many(n, tasks, rest, apart))

            cycles(size)
            yield cycles
            runner.run(block.__aexit__(None, None, None))

    return build


def by_blocks(block: Callable[[], Any]) -> Use:
    """The cycles of a pool that is used as ``async with block()``."""

    async def use(n: int, rest: bool, apart: bool) -> None:
        for _ in repeat(None, n):
            async with block():
                if rest:
                    await asyncio.sleep(0)
            if apart:
                await asyncio.sleep(0)

    return use


async def opened() -> AsyncStub:
    return AsyncStub()


@asynccontextmanager
async def fastpool_async_pool(size: int) -> AsyncIterator[Use]:
    async with import_module("fastpool").AsyncPool(opened, max_size=size, timeout=None) as pool:
        yield by_blocks(pool.connection)


@asynccontextmanager
async def asyncio_lifo_queue(size: int) -> AsyncIterator[Use]:
    queue: asyncio.LifoQueue[AsyncStub] = asyncio.LifoQueue()
    for _ in range(size):
        queue.put_nowait(AsyncStub())

    async def use(n: int, rest: bool, apart: bool) -> None:
        for _ in repeat(None, n):
            c = await queue.get()
            if rest:
                await asyncio.sleep(0)
            queue.put_nowait(c)
            if apart:
                await asyncio.sleep(0)

    yield use


@asynccontextmanager
async def aiohappybase_pool(size: int) -> AsyncIterator[Use]:
    import_module("fastpool.aio")  # aiohappybase finds its interface description through what setuptools dropped
    aiohappybase = import_module("aiohappybase")
    async with aiohappybase.ConnectionPool(size) as pool:
        while not pool._queue.empty():
            pool._queue.get_nowait()
        for _ in range(size):
            c = aiohappybase.Connection()
            c.client = Stub()  # open, as far as the pool checks
            pool._queue.put_nowait(c)
        yield by_blocks(pool.connection)


@asynccontextmanager
async def redis_blocking_pool(size: int) -> AsyncIterator[Use]:
    make = import_module("redis.asyncio").BlockingConnectionPool
    pool = make(connection_class=AsyncRedisStub, max_connections=size, timeout=None)

    async def use(n: int, rest: bool, apart: bool) -> None:
        for _ in repeat(None, n):
            c = await pool.get_connection()
            if rest:
                await asyncio.sleep(0)
            await pool.release(c)
            if apart:
                await asyncio.sleep(0)

    yield use
    await pool.disconnect()


@asynccontextmanager
async def asyncpg_pool(size: int) -> AsyncIterator[Use]:
    asyncpg = import_module("asyncpg")

    class Connection(asyncpg.Connection):  # type: ignore[misc, name-defined]
        """The part of a connection that the pool uses; its `reset` sends nothing."""

        def is_closed(self) -> bool:
            return False

        def __del__(self) -> None:
            pass  # nothing was opened

        async def reset(self, *, timeout: float | None = None) -> None:
            pass

        def terminate(self) -> None:
            self._pool_holder()._release_on_close()

        async def close(self, *, timeout: float | None = None) -> None:
            self.terminate()

    config = SimpleNamespace(
        statement_cache_size=0, max_cached_statement_lifetime=0, max_cacheable_statement_size=0, command_timeout=None
    )

    async def connect(*args: Any, **kwargs: Any) -> Connection:
        return Connection(AsyncPgProtocol(), None, asyncio.get_running_loop(), None, config, None)

    make = asyncpg.create_pool(connect=connect, connection_class=Connection, min_size=size, max_size=size)
    async with make as pool:
        yield by_blocks(pool.acquire)


ASYNC_POOL = Candidate("fastpool.AsyncPool", "fastpool", "fastpool._core", in_a_loop(fastpool_async_pool))
ASYNC_CANDIDATES = (
    Candidate("asyncio.LifoQueue", None, "asyncio", in_a_loop(asyncio_lifo_queue)),
    Candidate("aiohappybase.ConnectionPool", "aiohappybase", "aiohappybase", in_a_loop(aiohappybase_pool)),
    Candidate("redis.asyncio BlockingConnectionPool", "redis", "redis.asyncio", in_a_loop(redis_blocking_pool)),
    Candidate("asyncpg Pool", "asyncpg", "asyncpg", in_a_loop(asyncpg_pool)),
)


def together(cycles: Any, tasks: int, rest: bool, apart: bool) -> Cycles:
    """The cycles of several tasks together."""
    return lambda n: cycles(n, tasks, rest, apart)
