"""Patches, mocks and subclasses of aiohappybase's tables, batches and clients win over the codec."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

pytest.importorskip("happybase")
from Hbase_thrift import BatchMutation, Hbase, Mutation, TCell, TRowResult

from fastpool.adapters._thrift.codec import codec
from fastpool.adapters._thrift.compiled import operations
from fastpool.adapters.aiohappybase import client as tasks
from fastpool.adapters.happybase import client as threads

from ._aio import aiohappybase, pool_to, run
from ._scripted import ScriptedServer

batches, tables = aiohappybase.batch, aiohappybase.table

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")

Use = Callable[[Any], Awaitable[Any]]
CELLS = {b"cf:a": b"1", b"cf:b": b"2"}


@pytest.fixture(scope="module")
def to() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def with_table(server: ScriptedServer, use: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Do something with a connection and its table."""

    async def main() -> None:
        async with pool_to(server) as pool, pool.connection() as connection:
            await use(connection, connection.table("t"))
            assert connection.client.in_step()

    run(main())


async def scan(table: Any) -> list[Any]:
    return [row async for row in table.scan(limit=1)]


async def fill(table: Any, **options: Any) -> None:
    async with table.batch(**options) as batch:
        await batch.put(b"k", CELLS)
        await batch.delete(b"other", [b"cf:a"])


PUT: Use = lambda t: t.put(b"k", CELLS)  # noqa: E731
PATCHES: list[tuple[Any, str, Use]] = [
    (aiohappybase.Table, "row", lambda t: t.row(b"k")),
    (aiohappybase.Table, "rows", lambda t: t.rows([b"k"])),
    (aiohappybase.Table, "cells", lambda t: t.cells(b"k", b"cf:a")),
    (aiohappybase.Table, "put", PUT),
    (aiohappybase.Table, "delete", lambda t: t.delete(b"k", [b"cf:a"])),
    (aiohappybase.Table, "counter_inc", lambda t: t.counter_inc(b"k", b"cf:a")),
    (aiohappybase.Table, "counter_dec", lambda t: t.counter_dec(b"k", b"cf:a")),
    (tables, "make_row", lambda t: t.row(b"k")),
    (tables, "make_row", lambda t: t.rows([b"k"])),
    (tables, "make_row", scan),
    (tables, "iter_cells", lambda t: t.cells(b"k", b"cf:a")),
    (batches, "Mutation", PUT),
    (batches, "Mutation", fill),
    (batches, "BatchMutation", PUT),
    (batches, "BatchMutation", fill),
    (batches, "MutationProxy", PUT),
    (batches, "MutationProxy", fill),
    (batches, "MutationBatcher", PUT),
    (batches, "MutationBatcher", fill),
    (batches, "CounterBatcher", PUT),
    *((batches.Batch, name, PUT) for name in ("__init__", "send", "close", "__aenter__", "__aexit__")),
    *(
        (batches.MutationBatcher, name, use)
        for name in ("__init__", "put", "_add_mutations", "_check_send", "send", "_handle_delete_collisions", "_reset")
        for use in (PUT, fill)
    ),
    *((batches.MutationProxy, name, use) for name in ("__init__", "resolve") for use in (PUT, fill)),
    (batches.MutationProxy, "update", lambda t: twice(t)),
    (batches.CounterBatcher, "send", PUT),
]


async def twice(table: Any) -> None:
    async with table.batch() as batch:
        await batch.put(b"k", CELLS)
        await batch.put(b"k", CELLS)


@pytest.mark.parametrize(
    ("owner", "name", "use"), PATCHES, ids=[f"{i}-{o.__name__}.{n}" for i, (o, n, _) in enumerate(PATCHES)]
)
def test_a_patch_wins(to: ScriptedServer, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, use: Use) -> None:
    calls: list[Any] = []
    original = getattr(owner, name)

    def patch(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    async def both(_: Any, table: Any) -> None:
        monkeypatch.setattr(owner, name, patch)
        await use(table)
        assert calls, "the patch was not used"
        monkeypatch.undo()
        calls.clear()
        await use(table)
        assert not calls, "without the patch it is as before"

    with_table(to, both)


CLIENT_USES: dict[str, tuple[str, Use]] = {
    "row": ("getRowWithColumns", lambda t: t.row(b"k")),
    "row at": ("getRowWithColumnsTs", lambda t: t.row(b"k", timestamp=1)),
    "rows": ("getRowsWithColumns", lambda t: t.rows([b"k"])),
    "cells": ("getVer", lambda t: t.cells(b"k", b"cf:a")),
    "cells at": ("getVerTs", lambda t: t.cells(b"k", b"cf:a", timestamp=1)),
    "put": ("mutateRows", PUT),
    "put at": ("mutateRowsTs", lambda t: t.put(b"k", CELLS, timestamp=1)),
    "batch": ("mutateRows", fill),
    "batch at": ("mutateRowsTs", lambda t: fill(t, timestamp=1)),
    "delete": ("mutateRows", lambda t: t.delete(b"k", [b"cf:a"])),
    "counter": ("atomicIncrement", lambda t: t.counter_inc(b"k", b"cf:a")),
    "counter set": ("mutateRows", lambda t: t.counter_set(b"k", b"cf:a", 3)),
    "scan": ("scannerGetList", scan),
}


@pytest.mark.parametrize(("method", "use"), CLIENT_USES.values(), ids=CLIENT_USES.keys())
@pytest.mark.parametrize("how", ["instance", "class"])
def test_a_mocked_method_of_the_client_wins(
    to: ScriptedServer, monkeypatch: pytest.MonkeyPatch, method: str, use: Use, how: str
) -> None:
    cells = method.startswith("getVer")
    mock = AsyncMock(return_value=[TCell(b"v", 1)] if cells else [TRowResult(b"k", {b"cf:a": TCell(b"v", 1)})])

    async def with_mock(connection: Any, table: Any) -> None:
        client = connection.client
        monkeypatch.setattr(client if how == "instance" else type(client), method, mock)
        found = await use(table)
        mock.assert_awaited()
        monkeypatch.undo()
        if "Row" in method and method.startswith("get"):
            assert found in ({b"cf:a": b"v"}, [(b"k", {b"cf:a": b"v"})])

    with_table(to, with_mock)


@pytest.mark.parametrize("use", [PUT, fill], ids=["put", "batch"])
def test_a_mocked_client_wins(to: ScriptedServer, monkeypatch: pytest.MonkeyPatch, use: Use) -> None:
    mock = Mock(mutateRows=AsyncMock())

    async def with_mock(connection: Any, table: Any) -> None:
        monkeypatch.setattr(connection, "client", mock)
        await use(table)
        mock.mutateRows.assert_awaited_once()
        monkeypatch.undo()

    with_table(to, with_mock)


def test_a_subclass_of_the_table_wins(to: ScriptedServer) -> None:
    async def use(connection: Any, table: Any) -> None:
        class Theirs(type(table)):  # type: ignore[misc]
            def batch(self, **options: Any) -> Any:
                return self.made(**options)

        theirs = Theirs(table.name, connection, table._entry, table._epoch)
        theirs.made = Mock(side_effect=table.batch)
        await theirs.put(b"k", CELLS)
        theirs.made.assert_called_once()
        assert await theirs.row(b"k") == {b"cf:key": b"k"}
        assert await theirs.cells(b"k", b"cf:a") == [b"v"]

    with_table(to, use)


def test_a_subclass_of_the_batch_wins(to: ScriptedServer) -> None:
    async def use(_: Any, table: Any) -> None:
        class Theirs(type(table.batch())):  # type: ignore[misc]
            pass

        assert type(Theirs(table)._mutations) is batches.MutationBatcher

    with_table(to, use)


def test_without_a_patch_no_struct_is_made(to: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would pass without the short cut, too; this one fails without it."""
    here = threading.get_ident()  # the server makes them, too, in its threads

    def watched(original: Any) -> Any:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            assert threading.get_ident() != here, f"a {type(self).__name__} was made"
            original(self, *args, **kwargs)

        return init

    async def use(_: Any, table: Any) -> None:
        for struct in (TRowResult, TCell, Mutation, BatchMutation):
            monkeypatch.setattr(struct, "__init__", watched(struct.__init__))
        assert await table.row(b"k") == {b"cf:key": b"k"}
        assert await table.rows([b"k"]) == [(b"k", {b"cf:key": b"k"})]
        assert await table.cells(b"k", b"cf:a") == [b"v"]
        assert await table.cells(b"k", b"cf:a", include_timestamp=True) == [(b"v", 1)]
        assert len(await scan(table)) == 1
        assert await table.counter_inc(b"k", b"cf:a") == await table.counter_get(b"k", b"cf:a") == 0
        await table.counter_set(b"k", b"cf:a", 1)
        await PUT(table)
        await table.delete(b"k", [b"cf:a"])
        await fill(table, timestamp=3)
        monkeypatch.undo()

    with_table(to, use)


def test_threads_and_tasks_of_a_process_take_nothing_from_each_other() -> None:
    """Both libraries have the same service; each kind of client is told from a patched one by its own functions."""
    for library in (threads, tasks):
        made = library.client_class(Hbase)
        spoken = operations(Hbase, library.GuardedClient)
        assert spoken and all(getattr(made, name) is spoken[name].function for name in spoken)


def test_who_asks_for_a_batchs_mutations_gets_aiohappybases(to: ScriptedServer) -> None:
    async def use(_: Any, table: Any) -> None:
        batch = table.batch()
        await batch.put(b"k", CELLS)
        made = batch._mutations._mutations
        assert {c: (m.value, m.wal) for c, m in made[b"k"].items()} == {c: (v, True) for c, v in CELLS.items()}
        await batch.delete(b"k", [b"cf:a"])
        assert made[b"k"][b"cf:a"].is_delete
        await batch.send()
        assert batch._mutations._queued == {} == batch._mutations._mutations

    with_table(to, use)
