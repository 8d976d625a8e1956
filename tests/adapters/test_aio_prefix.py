"""A table prefix for one block of a task, and get_connection() with await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import fastpool
from fastpool.testing import HBaseServer

from ._aio import aio

WITHIN_S = 20


def name_of(c: Any) -> bytes:
    name: bytes = c.table("t").name
    return name


@asynccontextmanager
async def opened(hbase: HBaseServer, size: int = 2, **options: Any) -> AsyncIterator[Any]:
    async with aio.ConnectionPool(size, host=hbase.host, port=hbase.port, timeout=10_000, **options) as pool:
        yield pool


def test_for_this_block_only_and_nested(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with opened(hbase) as pool:
            async with pool.connection(table_prefix=b"a", table_prefix_separator=b"-") as c:
                await c.create_table("t", {"f": {}})
                assert await c.tables() == [b"t"]
                async with pool.connection() as same:
                    assert same is c and name_of(c) == b"a-t"
                async with pool.connection(timeout=None, table_prefix="b") as same:
                    assert same is c and name_of(c) == b"b_t"
                with pytest.raises(ZeroDivisionError):
                    async with pool.aconnection(table_prefix="c", table_prefix_separator=":"):
                        assert name_of(c) == b"c:t"
                        raise ZeroDivisionError
                assert name_of(c) == b"a-t"
            async with pool.connection() as again:
                assert again is c and await c.tables() == [b"a-t"]
            async with pool.table("t", table_prefix=b"a", table_prefix_separator=b"-") as table:
                assert table.name == b"a-t" and await table.row(b"none") == {}
            assert pool.stats().connects == 1

    asyncio.run(main())


def test_of_each_task_its_own(hbase: HBaseServer) -> None:
    async def use(pool: Any, prefix: bytes) -> None:
        for _ in range(20):
            async with pool.connection(table_prefix=prefix) as c:
                await c.tables()
                assert name_of(c) == prefix + b"_t"

    async def main() -> None:
        async with opened(hbase) as pool:
            await asyncio.gather(*(use(pool, b"%d" % number) for number in range(5)))
            async with pool.connection() as c:
                assert name_of(c) == b"t"

    asyncio.run(main())


@pytest.mark.parametrize("way", ["cancelled", "discarded", "by hand", "scanner"])
def test_the_next_caller_has_the_pools_own(hbase: HBaseServer, way: str) -> None:
    async def leave(pool: Any) -> None:
        if way == "by hand":
            pool.checkin(await pool.get_connection(table_prefix=b"a"))
            return
        lease = pool.connection(table_prefix=b"a")
        async with lease as c:
            if way == "discarded":
                lease.discard()
            elif way == "scanner":
                await c.create_table("t", {"f": {}})
                await c.table("t").put(b"r", {b"f:a": b"1"})
                assert await anext(c.table("t").scan())
            else:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await c.tables()

    async def main() -> None:
        async with opened(hbase, 1) as pool:
            await asyncio.gather(asyncio.create_task(leave(pool)), return_exceptions=True)
            async with pool.connection(timeout=WITHIN_S) as c:
                assert name_of(c) == b"t"
                await c.tables()

    asyncio.run(main())


def test_by_hand(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with opened(hbase) as pool:
            held = [await pool.get_connection(block=False), await pool.get_connection(timeout=None, table_prefix="a")]
            assert [name_of(c) for c in held] == [b"t", b"a_t"]
            assert pool.stats().connects == 2
            with pytest.raises(fastpool.NoConnectionsAvailable):
                await pool.get_connection(block=False)
            assert pool.stats().waits == 0
            waiter = asyncio.create_task(pool.get_connection(timeout=WITHIN_S))
            while not pool.stats().waiting:
                await asyncio.sleep(0.005)
            pool.checkin(held[1])
            assert (await waiter).table_prefix is None
            pool.checkin(waiter.result())
            pool.checkin(held[0])

    asyncio.run(main())


def test_bad_arguments(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with opened(hbase) as pool:
            for name in ("table_prefix", "table_prefix_separator"):
                with pytest.raises(TypeError, match=f"'{name}' must be a string, not 3"):
                    pool.connection(**{name: 3})
                with pytest.raises(TypeError, match=f"'{name}' must be a string, not 3"):
                    await pool.get_connection(**{name: 3})
            with pytest.raises(TypeError, match="block must be True or False, not 1"):
                await pool.get_connection(block=1)

    asyncio.run(main())


def test_as_a_decorator(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with opened(hbase) as pool:

            @pool.connection(table_prefix=b"app")
            async def name() -> bytes:
                async with pool.connection() as c:
                    return name_of(c)

            assert [await name(), await name()] == [b"app_t"] * 2

    asyncio.run(main())
