"""aiohappybase's tables over the codec: the same rows and log lines, also where it leaves messages to thriftpy2."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from fastpool.adapters._thrift.codec import codec
from fastpool.testing import HBaseServer

from ._aio import aio, aiohappybase
from .conftest import WIRES

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")


async def listed(rows: Any) -> list[Any]:
    return [row async for row in rows]


async def batched(table: Any) -> Any:
    async with table.batch(timestamp=9) as batch:
        await batch.put(b"batched", {b"cf:a": b"1", b"g:b": b"2"})
        await batch.delete(b"batched", [b"cf:zz"])
    return await table.row(b"batched", include_timestamp=True)


async def counted(table: Any) -> Any:
    await table.put(b"counted", {b"cf:n": b"\0" * 8})
    return [await table.counter_inc(b"counted", b"cf:n"), await table.counter_dec(b"counted", b"cf:n", 3)]


USES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "row": lambda t: t.row(b"row-003"),
    "row with timestamps": lambda t: t.row("row-003", include_timestamp=True),
    "row of columns": lambda t: t.row(b"row-003", columns=[b"cf:1"]),
    "row at": lambda t: t.row(b"row-003", timestamp=5),
    "no row": lambda t: t.row(b"none"),
    "row of a set": lambda t: t.row(b"row-003", columns={b"cf:1"}),
    "rows": lambda t: t.rows([b"row-003", b"none", b"row-004"]),
    "rows at": lambda t: t.rows([b"row-003", b"row-004"], timestamp=100),
    "no rows": lambda t: t.rows([]),
    "cells": lambda t: t.cells(b"row-003", b"cf:1", include_timestamp=True),
    "scan": lambda t: listed(t.scan(batch_size=7, include_timestamp=True)),
    "scan a prefix": lambda t: listed(t.scan(row_prefix=b"row-01")),
    "scan backwards": lambda t: listed(t.scan(row_prefix=b"row-01", reverse=True, limit=4)),
    "scan sorted": lambda t: listed(t.scan(sorted_columns=True, limit=9, batch_size=4)),
    "scan nothing": lambda t: listed(t.scan(limit=0)),
    "scan what": lambda t: listed(t.scan(what=1)),
    "batch": batched,
    "counter": counted,
}


@pytest.fixture(params=WIRES, ids="-".join, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[tuple[HBaseServer, dict[str, Any]]]:
    transport, protocol = request.param
    with HBaseServer(transport=transport, protocol=protocol) as server:
        kwargs = {"host": server.host, "port": server.port, "transport": transport, "protocol": protocol}
        asyncio.run(filled(kwargs))
        yield server, kwargs


async def filled(kwargs: dict[str, Any]) -> None:
    async with aiohappybase.Connection(**kwargs) as connection:
        await connection.create_table("t", {"cf": {}, "g": {}})
        async with connection.table("t").batch(timestamp=20) as batch:
            for i in range(30):
                await batch.put(b"row-%03d" % i, {b"cf:%d" % j: b"v" * j for j in range(i % 12 + 1)})


async def outcome(use: Callable[[Any], Awaitable[Any]], connection: Any) -> Any:
    try:
        found = await use(connection.table("t"))
    except Exception as error:
        return type(error), str(error)
    return found, repr(found)


async def compared(kwargs: dict[str, Any], seeds: range, share: float) -> None:
    async with (
        aiohappybase.Connection(**kwargs) as theirs,
        aio.ConnectionPool(1, **kwargs) as pool,
        pool.connection() as ours,
    ):
        for name, use in USES.items():
            expected = await outcome(use, theirs)
            for seed in seeds:
                codec.refuse_at_random(share, seed)
                assert await outcome(use, ours) == expected, (name, seed)
                assert ours.client.in_step(), (name, seed)
        codec.refuse_at_random(0)


def test_tables_give_what_aiohappybase_gives(server: tuple[HBaseServer, dict[str, Any]]) -> None:
    asyncio.run(compared(server[1], range(1), 0))


def test_thriftpy2_steps_in_anywhere(server: tuple[HBaseServer, dict[str, Any]]) -> None:
    try:
        asyncio.run(compared(server[1], range(4), 0.5))
    finally:
        codec.refuse_at_random(0)


def test_debug_lines_are_aiohappybases(
    server: tuple[HBaseServer, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    async def lines(connection: Any) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "aiohappybase.table"):
            async for _ in connection.table("t").scan(batch_size=7, limit=10):
                pass
        return [r.message.partition("on ")[2] for r in caplog.records if r.name == "aiohappybase.table"]

    async def both() -> None:
        async with (
            aiohappybase.Connection(**server[1]) as theirs,
            aio.ConnectionPool(1, **server[1]) as pool,
            pool.connection() as ours,
        ):
            expected = await lines(theirs)
            assert len(expected) == 2 and await lines(ours) == expected

    asyncio.run(both())


def test_a_patch_wins(server: tuple[HBaseServer, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> list[Any]:
        async with aio.ConnectionPool(1, **server[1]) as pool, pool.connection() as ours:
            table = ours.table("t")
            return [await table.row(b"row-003"), (await table.rows([b"row-003"]))[0][1]]

    for name in ("row", "rows"):

        async def patch(*args: Any, **kwargs: Any) -> Any:
            return [(b"k", "theirs")]

        monkeypatch.setattr(aiohappybase.Table, name, patch)
    assert asyncio.run(use()) == [[(b"k", "theirs")], "theirs"]
    monkeypatch.undo()
    monkeypatch.setattr(aiohappybase.table, "make_row", lambda row, include: "made")
    assert asyncio.run(use()) == ["made", "made"]
