"""aiohappybase's tables over the codec: the same rows and log lines, also where it leaves messages to thriftpy2."""

from __future__ import annotations

import asyncio
import logging
import re
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


async def by_size(table: Any) -> Any:
    batch = table.batch(batch_size=3)
    await batch.put(KEY, CELLS)
    before = await table.row(KEY)
    await batch.put(KEY, {b"cf:c": b"3"})
    return [before, await table.row(KEY), batch._mutations._mutation_count]


async def broken_off(table: Any) -> Any:
    try:
        async with table.batch(transaction=True) as batch:
            await batch.put(KEY, CELLS)
            raise KeyError
    except KeyError:
        return await table.row(KEY)


def written(fill: Callable[[Any], list[Awaitable[Any]]], **options: Any) -> Callable[[Any], Awaitable[Any]]:
    """A use: a batch of these writes, and the row then."""

    async def use(table: Any) -> Any:
        async with table.batch(**options) as batch:
            for one in fill(batch):
                await one
        return await table.row(KEY)

    return use


async def done(table: Any, write: Awaitable[Any]) -> Any:
    """The result of a write, and the row after it."""
    return [await write, await table.row(KEY)]


KEY = b"written"
CELLS = {b"cf:a": b"1", b"g:b": b"2"}
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
    "cells of two versions": lambda t: t.cells(b"row-003", "cf:1", versions=2),
    "cells at": lambda t: t.cells(b"row-003", b"cf:1", timestamp=100),
    "cells of no version": lambda t: t.cells(b"row-003", b"cf:1", versions=0),
    "cells of odd versions": lambda t: t.cells(b"row-003", b"cf:1", versions="1"),
    "cells of none": lambda t: t.cells(b"none", b"cf:1"),
    "batch": batched,
    "batch by size": by_size,
    "batch, a column twice": written(lambda b: [b.put(KEY, CELLS), b.put(KEY, {b"cf:a": b"9"})], timestamp=4),
    "batch, put and delete": written(lambda b: [b.put(KEY, CELLS), b.delete(KEY, [b"cf:a"])], timestamp=4),
    "batch, a family deleted and put": written(lambda b: [b.delete(KEY), b.put(KEY, CELLS)]),
    "batch, rows deleted": written(lambda b: [b.put(KEY, CELLS), b.delete(b"other"), b.delete(b"another")]),
    "batch of text": written(lambda b: [b.put(KEY, {"cf:a": b"1", "cf:b": b"2"})]),
    "batch of odd wal": written(lambda b: [b.put(KEY, CELLS), b.put(b"other", CELLS, wal=False)]),
    "batch of nothing": written(lambda b: []),
    "batch of no cells": written(lambda b: [b.put(KEY, {})]),
    "batch by a list": written(lambda b: [b.put([KEY], CELLS)]),
    "batch of numbers": written(lambda b: [b.put(KEY, {b"cf:a": 1})]),
    "batch with counters": written(lambda b: [b.counter_inc(b"n", b"cf:n", 2), b.put(KEY, CELLS)]),
    "batch without a log": written(lambda b: [b.put(KEY, CELLS)], wal=False),
    "batch broken off": broken_off,
    "put": lambda t: done(t, t.put(KEY, CELLS)),
    "put at": lambda t: done(t, t.put(KEY, CELLS, timestamp=3)),
    "put at text": lambda t: done(t, t.put(KEY, CELLS, timestamp="3")),
    "put nothing": lambda t: done(t, t.put(KEY, {})),
    "put one by text": lambda t: done(t, t.put(KEY, {"cf:a": "1"})),
    "put two by text": lambda t: done(t, t.put(KEY, {"cf:a": "1", "cf:b": "2"})),
    "put a number": lambda t: done(t, t.put(KEY, {b"cf:a": 1})),
    "put a list": lambda t: done(t, t.put(KEY, [1])),
    "put None": lambda t: done(t, t.put(KEY, {b"cf:a": None, b"cf:b": b"2"})),
    "put with odd wal": lambda t: done(t, t.put(KEY, CELLS, wal=1)),
    "put by a list": lambda t: done(t, t.put([KEY], CELLS)),
    "put in no family": lambda t: done(t, t.put(KEY, {b"nope:a": b"1"})),
    "delete": lambda t: done(t, t.delete(KEY)),
    "delete a column": lambda t: done(t, t.delete(KEY, [b"cf:a"])),
    "counter": counted,
    "counter set": lambda t: done(t, t.counter_set(KEY, b"cf:a", 7)),
    "counter get": lambda t: t.counter_get(b"row-none", b"cf:n"),
    "counter by text": lambda t: t.counter_inc(KEY, b"cf:n", "1"),
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
    async with aio.ConnectionPool(1, **kwargs) as pool, pool.connection() as ours:
        for name, use in USES.items():
            expected = await by_theirs(kwargs, use)
            for seed in seeds:
                await by_theirs(kwargs, lambda t: t.delete(KEY))
                codec.refuse_at_random(share, seed)
                assert await outcome(use, ours) == expected, (name, seed)
                codec.refuse_at_random(0)
                assert ours.client.in_step(), (name, seed)


async def by_theirs(kwargs: dict[str, Any], use: Callable[[Any], Awaitable[Any]]) -> Any:
    """By a connection of its own: after an argument that cannot be sent, aiohappybase's sends half a message."""
    async with aiohappybase.Connection(**kwargs) as theirs:
        await theirs.table("t").delete(KEY)
        return await outcome(use, theirs)


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
        with caplog.at_level(logging.DEBUG, "aiohappybase"):
            table = connection.table("t")
            async for _ in table.scan(batch_size=7, limit=10):
                pass
            await table.put(KEY, CELLS)
            await table.put(KEY, {b"cf:a": None})
            await table.delete(KEY)
            await written(lambda b: [b.delete(KEY), b.put(KEY, CELLS), b.put(b"other", CELLS)])(table)
        mine = "aiohappybase.table", "aiohappybase.batch"
        return [re.sub(r"id=\d+", "id=?", r.message) for r in caplog.records if r.name in mine]

    async def both() -> None:
        async with (
            aiohappybase.Connection(**server[1]) as theirs,
            aio.ConnectionPool(1, **server[1]) as pool,
            pool.connection() as ours,
        ):
            expected = await lines(theirs)
            assert len(expected) == 7
            for share in (0, 0.5, 1):
                codec.refuse_at_random(share, 1)
                assert await lines(ours) == expected
            codec.refuse_at_random(0)

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
