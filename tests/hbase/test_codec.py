"""The codec on a real HBase: its replies have the shape that the codec reads, and tables give what happybase's give."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import happybase
import pytest

import fastpool
from fastpool.adapters._thrift.codec import codec
from tests.adapters import test_codec_fuzz as fuzz
from tests.adapters import test_codec_rows as rows
from tests.adapters._recorded import CORPUS, Replies, recorded
from tools.hbase.cluster import Gateway

from .test_wire import WIRES

KEYS = itertools.count()

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")

# What happybase refuses, translates or sends in another form, it or thriftpy2 does for us, too.
NOT_BY_THE_CODEC = ("set", "text", "bool", "bytearray", "umlaut", "odd", "no versions", "no batch", "no limit", "None")


@pytest.fixture(params=WIRES, ids="-".join)
def where(request: pytest.FixtureRequest, gateway_of: Callable[..., Gateway]) -> dict[str, Any]:
    """A gateway of this transport and protocol, beside a table of many shapes."""
    transport, protocol = request.param
    gateway = gateway_of(framed=transport == "framed", compact=protocol == "compact")
    where = {"host": gateway.host, "port": gateway.port, "transport": transport, "protocol": protocol}
    connection = happybase.Connection(**where)
    if b"t" not in connection.tables():
        rows.fill(connection)
    connection.close()
    return where


@pytest.fixture(params=[0.0, 0.4], ids=["on", "refusing"])
def connections(where: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """happybase's connection and ours, with the codec on, and refusing at random."""
    theirs = happybase.Connection(**where)
    with fastpool.ConnectionPool(1, **where) as pool, pool.connection() as ours:
        codec.refuse_at_random(request.param, 3)
        try:
            yield theirs, ours
        finally:
            codec.refuse_at_random(0)
    theirs.close()


def test_reads_give_what_happybase_gives(connections: tuple[Any, Any]) -> None:
    theirs, ours = connections
    for name, use in rows.READS.items():
        if name in rows.COMPACT_ALONE:
            continue
        assert rows.outcome(use, ours) == rows.outcome(use, theirs), name
        assert ours.client.in_step(), name


def test_writes_do_what_happybase_does(connections: tuple[Any, Any]) -> None:
    theirs, ours = connections
    for name, use in rows.WRITES.items():
        if name in rows.COMPACT_ALONE or any(word in name for word in ("list", "number", "text", "mutations")):
            continue  # happybase's connection breaks, or the result has the key in it
        found = []
        for connection in (theirs, ours):
            key = b"key %d of the writes" % next(
                KEYS
            )  # HBase's delete hides what is put later with an earlier timestamp
            found.append(rows.outcome(lambda table, use=use, key=key: use(table, key), connection))
        assert found[1] == found[0], name
        assert ours.client.in_step()


def test_the_replies_are_read_by_the_codec(where: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with fastpool.ConnectionPool(1, **where) as pool, pool.connection() as connection:
        for name, use in rows.READS.items():
            if any(word in name for word in NOT_BY_THE_CODEC) or name in rows.COMPACT_ALONE:
                continue
            rest = Mock(side_effect=AssertionError(f"thriftpy2 read a reply of {name}"))
            monkeypatch.setattr(connection.client, "receive_rest", rest)
            rows.outcome(use, connection)
            rest.assert_not_called()


@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_its_replies_cut_and_mutated(gateway_of: Callable[..., Gateway], protocol: str, tmp_path: Path) -> None:
    """The C parts under the sanitizers, over what this HBase sends; `--basetemp` keeps it for codec_corpus.txt."""
    gateway = gateway_of(compact=protocol == "compact")
    kept = replies_of({"host": gateway.host, "port": gateway.port, "protocol": protocol})
    lines = [f"{name.decode()} {protocol} {body.hex()}" for name, bodies in kept.items() for body in bodies]
    (tmp_path / CORPUS.name).write_text("\n".join(lines) + "\n", "ascii")
    files = fuzz.corpus_of(
        tmp_path / "corpus", [(n.decode(), protocol == "compact", b) for n, bodies in kept.items() for b in bodies]
    )
    fuzz.mutate(tmp_path, 300, 1, 200, files)


def replies_of(where: dict[str, Any]) -> Replies:
    """The different replies to all reads, if they are short."""

    def use(connection: happybase.Connection) -> None:
        if b"t" not in connection.tables():
            rows.fill(connection)
        for name, read in rows.READS.items():
            if name not in rows.COMPACT_ALONE and not any(word in name for word in NOT_BY_THE_CODEC):
                rows.outcome(read, connection)
        connection.table("t").counter_inc(b"counter", b"cf:n")
        connection.is_table_enabled("t")

    found = recorded(use, **where)
    return {name: sorted({b for b in bodies if len(b) < 3000}) for name, bodies in found.items()}
