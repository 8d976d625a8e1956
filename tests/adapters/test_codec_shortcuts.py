"""Patches, mocks and subclasses of happybase's tables, batches and clients win over the codec; and its edges."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import happybase
import happybase.batch
import happybase.table
import pytest
from Hbase_thrift import BatchMutation, Hbase, Mutation, TCell, TRowResult

from fastpool._errors import LeaseError
from fastpool.adapters._thrift.codec import codec
from fastpool.adapters.happybase.client import GuardedClient

from ._held import Held
from ._scripted import Call, ScriptedServer
from .conftest import WIRES

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")


def marked(*_: Any, **__: Any) -> str:
    return "theirs"


PATCHES: list[tuple[Any, str, Callable[[Any], Any]]] = [
    (happybase.Table, "row", lambda t: t.row(b"k")),
    (happybase.Table, "rows", lambda t: t.rows([b"k"])),
    (happybase.Table, "cells", lambda t: t.cells(b"k", b"cf:a")),
    (happybase.Table, "put", lambda t: t.put(b"k", {b"cf:a": b"1"})),
    (happybase.Table, "counter_inc", lambda t: t.counter_inc(b"k", b"cf:a")),
    (happybase.Table, "scan", lambda t: "".join(map(str, t.scan(limit=1)))),
    (happybase.table, "make_row", lambda t: t.row(b"k")),
    (happybase.table, "make_row", lambda t: t.rows([b"k"])[0][1]),
    (happybase.table, "make_row", lambda t: next(t.scan(limit=1))[1]),
    (happybase.batch.Batch, "put", lambda t: t.batch().put(b"k", {})),
    (happybase.batch.Batch, "delete", lambda t: t.batch().delete(b"k", [])),
    (happybase.batch.Batch, "send", lambda t: t.batch().send()),
]


@pytest.mark.parametrize(
    ("owner", "name", "use"), PATCHES, ids=[f"{i}-{o.__name__}.{n}" for i, (o, n, _) in enumerate(PATCHES)]
)
def test_a_patch_wins(
    plain: Held, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, use: Callable[[Any], Any]
) -> None:
    table = plain.connection.table("t")
    use(table)
    calls: list[Any] = []

    def patch(*args: Any, **kwargs: Any) -> str:
        calls.append(args)
        return "theirs"

    monkeypatch.setattr(owner, name, patch)
    found = use(table)
    assert calls
    assert found in ("theirs", None), "the methods that write give nothing"
    calls.clear()
    monkeypatch.undo()
    use(table)
    assert not calls, "without the patch it is as before"


@pytest.mark.parametrize("name", ["put", "send", "__enter__", "__exit__"])
def test_a_patched_batch_wins_in_put(plain: Held, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    calls: list[Any] = []
    original = getattr(happybase.batch.Batch, name)

    def patch(self: Any, *args: Any) -> Any:
        calls.append(args)
        return original(self, *args)

    monkeypatch.setattr(happybase.batch.Batch, name, patch)
    plain.connection.table("t").put(b"k", {b"cf:a": b"1"})
    assert calls


def test_a_patched_mutation_wins(plain: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(side_effect=Mutation)
    monkeypatch.setattr(happybase.batch, "Mutation", made)
    plain.connection.table("t").put(b"k", {b"cf:a": b"1"})
    made.assert_called_once()


CLIENT_USES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "row": ("getRowWithColumns", lambda t: t.row(b"k")),
    "row at": ("getRowWithColumnsTs", lambda t: t.row(b"k", timestamp=1)),
    "rows": ("getRowsWithColumns", lambda t: t.rows([b"k"])),
    "cells": ("getVer", lambda t: t.cells(b"k", b"cf:a")),
    "put": ("mutateRows", lambda t: t.put(b"k", {b"cf:a": b"1"})),
    "put at": ("mutateRowsTs", lambda t: t.put(b"k", {b"cf:a": b"1"}, timestamp=1)),
    "counter": ("atomicIncrement", lambda t: t.counter_inc(b"k", b"cf:a")),
    "scan": ("scannerGetList", lambda t: list(t.scan(limit=1))),
    "open": ("scannerOpenWithScan", lambda t: list(t.scan(limit=1))),
    "close": ("scannerClose", lambda t: list(t.scan(limit=1))),
}


@pytest.mark.parametrize(("method", "use"), CLIENT_USES.values(), ids=CLIENT_USES.keys())
@pytest.mark.parametrize("how", ["instance", "class"])
def test_a_mocked_method_of_the_client_wins(
    plain: Held, monkeypatch: pytest.MonkeyPatch, method: str, use: Callable[[Any], Any], how: str
) -> None:
    client = plain.connection.client
    mock = Mock(return_value=[TRowResult(b"k", {b"cf:a": TCell(b"mocked", 1)})], side_effect=None)
    if method in ("getVer", "atomicIncrement", "scannerOpenWithScan"):
        mock.return_value = [] if method == "getVer" else 7
    monkeypatch.setattr(client if how == "instance" else type(client), method, mock)
    found = use(plain.connection.table("t"))
    mock.assert_called()
    if method.startswith("getRow"):
        assert found in ({b"cf:a": b"mocked"}, [(b"k", {b"cf:a": b"mocked"})])
    monkeypatch.undo()


def test_a_mocked_client_wins(plain: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    mock = Mock()
    mock.getRowWithColumns.return_value = [TRowResult(b"k", {b"cf:a": TCell(b"mocked", 1)})]
    table = plain.connection.table("t")
    monkeypatch.setattr(plain.connection, "client", mock)
    assert table.row(b"k") == {b"cf:a": b"mocked"}
    monkeypatch.undo()


def test_a_subclass_of_the_table_wins(plain: Held) -> None:
    ours = plain.connection.table("t")

    class Theirs(type(ours)):  # type: ignore[misc]
        def batch(self, **kwargs: Any) -> Any:
            return self.made(**kwargs)

    theirs = Theirs(ours.name, plain.connection, plain.entry, plain.entry.epoch)
    theirs.made = Mock(side_effect=ours.batch)
    theirs.put(b"k", {b"cf:a": b"1"})
    theirs.made.assert_called_once()
    assert theirs.row(b"k") == {b"cf:key": b"k"}


def test_without_a_patch_no_struct_is_made(plain: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would pass without the short cut, too; this one fails without it."""
    here = threading.get_ident()  # the server makes them, too, in its thread

    def watched(original: Any) -> Any:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            assert threading.get_ident() != here, f"a {type(self).__name__} was made"
            original(self, *args, **kwargs)

        return init

    for struct in (TRowResult, TCell, Mutation, BatchMutation):
        monkeypatch.setattr(struct, "__init__", watched(struct.__init__))
    table = plain.connection.table("t")
    assert table.row(b"k") == {b"cf:key": b"k"}
    assert len(list(table.scan(limit=3))) == 3
    assert table.counter_inc(b"k", b"cf:a") == 0
    table.put(b"k", {b"cf:a": b"1"})
    with table.batch() as batch:
        batch.put(b"k", {b"cf:a": b"1"})
        batch.delete(b"k", [b"cf:a"])


# ---- the lease


def test_a_scan_is_fenced_at_each_row(plain: Held) -> None:
    scan = plain.connection.table("t").scan(batch_size=10)
    next(scan)
    plain.entry.give_back()
    with pytest.raises(LeaseError):
        next(scan)


def test_a_reply_without_rows_of_the_awaited_kind_is_happybases_error(
    plain: Held, plain_server: ScriptedServer
) -> None:
    def empty(call: Call) -> None:
        result = Hbase.getRowWithColumns_result(success=[TRowResult(b"k")])
        call.stream.send(call.stream.encode(call.name, call.seqid, result))

    plain_server.script = empty
    with pytest.raises(AttributeError):
        plain.row()
    assert plain.entry.fit


@pytest.mark.parametrize(("transport", "protocol"), WIRES)
def test_frames_and_pieces(transport: str, protocol: str) -> None:
    """A reply in many pieces, over a real socket."""
    server = ScriptedServer(transport, protocol)
    held = Held(server, timeout=10_000)

    def dribble(call: Call) -> None:
        data = call.stream.good(call)
        for i in range(0, len(data), 7):
            call.stream.send(data[i : i + 7])

    server.script = dribble
    for size in (1, 500, 20_000):
        assert held.row(b"k" * size) == {b"cf:key": b"k" * size}
        assert held.entry.fit
    server.script = None
    key = b"k" * 10_000_000
    assert held.row(key) == {b"cf:key": key}
    assert isinstance(held.connection.client, GuardedClient)
    assert held.connection.client._channel.buffer_size <= 1 << 20
    held.end()
    server.close()
