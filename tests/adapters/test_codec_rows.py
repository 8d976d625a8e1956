"""happybase's tables over the codec: the same rows, errors and log lines; a patched happybase is used as patched."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import happybase
import happybase.batch
import happybase.table
import pytest
from thriftpy2.protocol import TCompactProtocol

import fastpool
from fastpool.adapters._thrift.codec import codec
from fastpool.testing import HBaseServer

from .conftest import WIRES

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")


def fill(connection: Any) -> None:
    """Make a table with rows of many shapes."""
    connection.create_table("t", {"cf": {"max_versions": 5}, "g": {}})
    table = connection.table("t")
    table.put(b"one", {b"cf:a": b"1"}, timestamp=5)
    table.put(b"bin\xff\0", {b"cf:\xff": b"\0" * 9, b"g:": b"", b"cf:": b"x" * 5000}, timestamp=7)
    for version in range(4):
        table.put(b"versions", {b"cf:v": b"%d" % version}, timestamp=10 + version)
    with table.batch(timestamp=20) as batch:
        for i in range(50):
            batch.put(b"row-%03d" % i, {b"cf:%d" % j: b"v" * j for j in range(i % 12 + 1)})
    table.put(b"wide", {b"g:%d" % i: b"w" * 400 for i in range(300)}, timestamp=30)


@pytest.fixture(params=WIRES, ids="-".join, scope="module")
def worlds(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """A table with rows of many shapes, by happybase's connection and by ours."""
    transport, protocol = request.param
    with HBaseServer(transport=transport, protocol=protocol) as server:
        kwargs = {"host": server.host, "port": server.port, "transport": transport, "protocol": protocol}
        theirs = happybase.Connection(**kwargs)
        fill(theirs)
        with fastpool.ConnectionPool(1, **kwargs) as pool, pool.connection() as ours:
            yield theirs, ours
        theirs.close()


def outcome(use: Callable[[Any], Any], connection: Any) -> Any:
    """The outcome of a use of the table, with the types of all its parts; or what it raises."""

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
    **{
        f"row {key!r} {ts}": lambda t, key=key, ts=ts: t.row(key, include_timestamp=ts)
        for key in (b"one", "one", b"bin\xff\0", b"none", b"wide")
        for ts in (False, True)
    },
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
        found.append(outcome(lambda table, use=use: without_times(use(table, b"key of " + name.encode())), connection))
        theirs.close()
        theirs._refresh_thrift_client()  # its buffer keeps half a message after an error, also over a close()
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
