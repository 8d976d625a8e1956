"""happybase's tables over the codec: the same rows, errors and log lines, and whoever patches happybase wins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import Mock

import happybase
import happybase.batch
import happybase.table
import pytest
from Hbase_thrift import BatchMutation, Hbase, Mutation, TCell, TRowResult
from thriftpy2.protocol import TCompactProtocol

import fastpool
from fastpool._errors import LeaseError
from fastpool.adapters._thrift.codec import codec
from fastpool.adapters.happybase.client import GuardedClient
from fastpool.testing import HBaseServer

from ._held import Held
from ._scripted import Call, ScriptedServer
from .conftest import WIRES

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")


@pytest.fixture(params=WIRES, ids="-".join, scope="module")
def worlds(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """A table with rows of many shapes, by happybase's connection and by ours."""
    transport, protocol = request.param
    with HBaseServer(transport=transport, protocol=protocol) as server:
        kwargs = {"host": server.host, "port": server.port, "transport": transport, "protocol": protocol}
        theirs = happybase.Connection(**kwargs)
        theirs.create_table("t", {"cf": {"max_versions": 5}, "g": {}})
        table = theirs.table("t")
        table.put(b"one", {b"cf:a": b"1"}, timestamp=5)
        table.put(b"bin\xff\0", {b"cf:\xff": b"\0" * 9, b"g:": b"", b"cf:": b"x" * 5000}, timestamp=7)
        for version in range(4):
            table.put(b"versions", {b"cf:v": b"%d" % version}, timestamp=10 + version)
        with table.batch(timestamp=20) as batch:
            for i in range(50):
                batch.put(b"row-%03d" % i, {b"cf:%d" % j: b"v" * j for j in range(i % 12 + 1)})
        table.put(b"wide", {b"g:%d" % i: b"w" * 400 for i in range(300)}, timestamp=30)
        with fastpool.ConnectionPool(1, **kwargs) as pool, pool.connection() as ours:
            yield theirs, ours
        theirs.close()


def outcome(use: Callable[[Any], Any], connection: Any) -> Any:
    """What a use of the table gives, with the types of all its parts; or what it raises."""

    def deep(value: Any) -> Any:
        if isinstance(value, dict):
            return type(value), [(key, deep(one)) for key, one in value.items()]
        if isinstance(value, (list, tuple)):
            return type(value), [deep(one) for one in value]
        return type(value), value

    try:
        return deep(use(connection.table("t")))
    except Exception as error:
        return type(error), str(error)


READS: dict[str, Callable[[Any], Any]] = {
    **{f"row {key!r} {ts}": lambda t, key=key, ts=ts: t.row(key, include_timestamp=ts)
       for key in (b"one", "one", b"bin\xff\0", b"none", b"wide") for ts in (False, True)},
    "row columns": lambda t: t.row(b"row-011", columns=["cf:1", b"cf:2"]),
    "row columns tuple": lambda t: t.row(b"row-011", (b"cf",), include_timestamp=True),
    "row at": lambda t: t.row(b"versions", timestamp=12, include_timestamp=True),
    "row set of columns": lambda t: t.row(b"one", columns={b"cf"}),
    "row timestamp of text": lambda t: t.row(b"one", timestamp="1"),
    "row bool timestamp": lambda t: t.row(b"one", timestamp=True),
    "row bytearray": lambda t: t.row(bytearray(b"one")),
    "row umlaut": lambda t: t.row("ü"),
    "rows": lambda t: t.rows([b"one", b"none", b"row-003", b"wide"]),
    "rows tuple": lambda t: t.rows((b"one", "versions"), include_timestamp=True),
    "rows none": lambda t: t.rows([]),
    "rows at": lambda t: t.rows([b"one", b"versions"], timestamp=12),
    "rows at, columns": lambda t: t.rows([b"one", b"versions"], columns=[b"cf:v"], timestamp=12),
    "cells": lambda t: t.cells(b"versions", b"cf:v"),
    "cells two": lambda t: t.cells(b"versions", "cf:v", versions=2, include_timestamp=True),
    "cells at": lambda t: t.cells(b"versions", b"cf:v", timestamp=12),
    "cells none": lambda t: t.cells(b"none", b"cf:v"),
    "cells no versions": lambda t: t.cells(b"versions", b"cf:v", versions=0),
    "cells odd versions": lambda t: t.cells(b"versions", b"cf:v", versions="1"),
    "scan": lambda t: list(t.scan()),
    "scan in twos": lambda t: list(t.scan(batch_size=2, include_timestamp=True)),
    "scan range": lambda t: list(t.scan(b"row-003", b"row-020", batch_size=7)),
    "scan from text": lambda t: list(t.scan("row-003", limit=3)),
    "scan prefix": lambda t: list(t.scan(row_prefix=b"row-01")),
    "scan prefix backwards": lambda t: list(t.scan(row_prefix=b"row-01", reverse=True)),
    "scan prefix of text": lambda t: list(t.scan(row_prefix="row-01")),
    "scan prefix and start": lambda t: list(t.scan(row_prefix=b"row", row_start=b"a")),
    "scan backwards": lambda t: list(t.scan(b"row-020", reverse=True, limit=4)),
    "scan limit": lambda t: list(t.scan(limit=13, batch_size=5)),
    "scan limit of a batch": lambda t: list(t.scan(limit=10, batch_size=5)),
    "scan sorted": lambda t: list(t.scan(sorted_columns=True, include_timestamp=True)),
    "scan columns": lambda t: list(t.scan(columns=[b"cf:1", "cf:2"], row_prefix=b"row")),
    "scan filter": lambda t: list(t.scan(filter=b"PrefixFilter('row-00')")),
    "scan batching": lambda t: list(t.scan(scan_batching=3, limit=9)),
    "scan at": lambda t: list(t.scan(timestamp=12)),
    "scan no batch": lambda t: list(t.scan(batch_size=0)),
    "scan no limit": lambda t: list(t.scan(limit=0)),
    "scan batch of None": lambda t: list(t.scan(batch_size=None)),
    "scan what": lambda t: list(t.scan(what=1)),
    "scan empty": lambda t: list(t.scan(row_prefix=b"zzz")),
    "scan floats": lambda t: list(t.scan(limit=2.0)),
}


# There happybase sends half a message, or a wrong length.
COMPACT_ALONE = ("row bytearray", "row umlaut", "put an umlaut", "scan floats")


def skip_what_happybase_cannot(ours: Any, name: str) -> None:
    if name in COMPACT_ALONE and type(ours.client._iprot) is TCompactProtocol:
        pytest.skip("in the compact protocol happybase breaks its own connection by this")


@pytest.mark.parametrize("name", READS)
def test_reads_give_what_happybase_gives(worlds: tuple[Any, Any], name: str) -> None:
    theirs, ours = worlds
    skip_what_happybase_cannot(ours, name)
    expected = outcome(READS[name], theirs)
    assert outcome(READS[name], ours) == expected
    assert ours.client.in_step()


def count(table: Any, key: bytes) -> list[Any]:
    return [table.counter_inc(key, b"cf:n"), table.counter_inc(key, b"cf:n", 40), table.counter_dec(key, "cf:n", 2)]


def in_batch(table: Any, key: bytes) -> dict[bytes, bytes]:
    with table.batch(timestamp=50) as batch:
        batch.put(key, {b"cf:a": b"1", "cf:b": "2", b"g:c": b"3"})
        batch.delete(key, [b"cf:zz"])
        batch.put(key + b"2", {b"cf:a": b"x"}, wal=False)
    found: dict[bytes, bytes] = table.row(key, include_timestamp=True)
    return found


def by_size(table: Any, key: bytes) -> list[Any]:
    batch = table.batch(batch_size=3)
    batch.put(key, {b"cf:a": b"1", b"cf:b": b"2"})
    before = table.row(key)
    batch.put(key, {b"cf:c": b"3"})
    return [before, table.row(key), batch._mutation_count]


def deleted(table: Any, key: bytes) -> list[Any]:
    table.put(key, {b"cf:a": b"1", b"cf:b": b"2", b"g:c": b"3"})
    table.delete(key, columns=[b"cf:a"])
    left = table.row(key)
    table.delete(key)
    return [left, table.row(key)]


def broken_off(table: Any, key: bytes) -> Any:
    try:
        with table.batch(transaction=True) as batch:
            batch.put(key, {b"cf:a": b"1"})
            raise KeyError
    except KeyError:
        return table.row(key)


WRITES: dict[str, Callable[[Any, bytes], Any]] = {
    "put": lambda t, k: (t.put(k, {b"cf:a": b"1", "cf:b": "2"}, timestamp=3), t.row(k, include_timestamp=True)),
    "put without wal": lambda t, k: (t.put(k, {b"cf:a": b"1"}, wal=False), t.row(k)),
    "put nothing": lambda t, k: (t.put(k, {}), t.row(k)),
    "put odd wal": lambda t, k: (t.put(k, {b"cf:a": b"1"}, wal=1), t.row(k)),
    "put a list": lambda t, k: t.put(k, [1]),
    "put a number": lambda t, k: t.put(k, {b"cf:a": 1}),
    "put by a list": lambda t, k: t.put([k], {b"cf:a": b"1"}),
    "put at text": lambda t, k: t.put(k, {b"cf:a": b"1"}, timestamp="1"),
    "put an umlaut": lambda t, k: (t.put(k, {"cf:ä": "ö" if t.connection.transport else ""}), t.row(k)),
    "counter": count,
    "counter at text": lambda t, k: t.counter_inc(k, b"cf:n", "1"),
    "counter set": lambda t, k: (t.counter_set(k, b"cf:n", 9), t.counter_get(k, b"cf:n")),
    "batch": in_batch,
    "batch by size": by_size,
    "delete": deleted,
    "transaction": broken_off,
    "batch mutations": lambda t, k: [(b := t.batch()).put(k, {b"cf:a": b"1"}), dict(b._mutations), b.send(), t.row(k)],
    "batch bad family": lambda t, k: t.put(k, {b"nope:a": b"1"}),
}


@pytest.mark.parametrize("name", WRITES)
def test_writes_do_what_happybase_does(worlds: tuple[Any, Any], name: str) -> None:
    theirs, ours = worlds
    skip_what_happybase_cannot(ours, name)
    found = []
    for connection in (theirs, ours):
        use = WRITES[name]
        found.append(outcome(lambda table: without_times(use(table, b"key of " + name.encode())), connection))
        theirs.close()
        theirs._refresh_thrift_client()  # an error of its encoder leaves half a message in its buffer, also over a close()
        theirs.open()
        theirs.table("t").delete(b"key of " + name.encode())
    assert found[1] == found[0]
    assert ours.client.in_step()


def without_times(value: Any) -> Any:
    """Mutations as text: they are compared by their attributes."""
    if isinstance(value, dict):
        return {key: repr(one) if isinstance(one, list) else one for key, one in value.items()}
    return [without_times(one) for one in value] if isinstance(value, (list, tuple)) else value


# ---- log lines

LOGGED: dict[str, Callable[[Any], Any]] = {
    "put": lambda t: t.put(b"logged", {b"cf:a": b"1", b"cf:b": b"2"}),
    "batch": lambda t: in_batch(t, b"logged"),
    "scan": lambda t: list(t.scan(batch_size=20, limit=30)),
    "scan to the end": lambda t: list(t.scan(row_prefix=b"row-00")),
}


@pytest.mark.parametrize("use", LOGGED.values(), ids=LOGGED.keys())
def test_debug_lines_are_happybases(
    worlds: tuple[Any, Any], caplog: pytest.LogCaptureFixture, use: Callable[[Any], Any]
) -> None:
    lines = []
    for connection in worlds:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "happybase"):
            use(connection.table("t"))
        lines.append([(r.name, r.levelname, r.msg, r.args[1:]) for r in caplog.records])
    assert lines[0] and lines[1] == lines[0]


# ---- whoever patches, mocks or subclasses wins


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


# ---- refusing at random


@pytest.fixture
def refuse() -> Iterator[Callable[[float, int], None]]:
    yield codec.refuse_at_random
    codec.refuse_at_random(0)


def test_thriftpy2_steps_in_anywhere(worlds: tuple[Any, Any], refuse: Callable[[float, int], None]) -> None:
    """Also in the middle of scans: half of the messages and replies, by many seeds."""
    theirs, ours = worlds
    for name, use in READS.items():
        if name in COMPACT_ALONE:
            continue
        expected = outcome(use, theirs)
        for seed in range(3):
            refuse(0.5, seed)
            assert outcome(use, ours) == expected, (name, seed)
            assert ours.client.in_step(), (name, seed)
    refuse(0, 0)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_writes_through_a_refusing_codec(
    worlds: tuple[Any, Any], refuse: Callable[[float, int], None], share: float
) -> None:
    _, ours = worlds
    table = ours.table("t")
    for seed in range(6):
        refuse(share, seed)
        key = b"refused %d" % seed
        assert count(table, key)[-1] == 39
        assert set(in_batch(table, key)) >= {b"cf:a", b"cf:b", b"g:c"}
        table.delete(key)
        assert table.row(key) == {}
    refuse(0, 0)


# ---- the lease


def test_a_scan_is_fenced_at_each_row(plain: Held) -> None:
    scan = plain.connection.table("t").scan(batch_size=10)
    next(scan)
    plain.entry.give_back()
    with pytest.raises(LeaseError):
        next(scan)


def test_a_reply_without_rows_of_the_awaited_kind_is_happybases_error(plain: Held, plain_server: ScriptedServer) -> None:
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
