"""The rows of a scan, which are checked as a whole and made one by one: equal to happybase's, from any pieces."""

from __future__ import annotations

import random
from typing import Any

import pytest
from happybase.table import make_ordered_row, make_row
from Hbase_thrift import Hbase, TCell, TRowResult
from hypothesis import given, settings
from hypothesis import strategies as st
from thriftpy2.transport import TMemoryBuffer

import fastpool
from fastpool.adapters._thrift.codec import codec
from fastpool.testing import HBaseServer

from .test_codec import PROTOCOLS, WIRES, Rig, call_of, plain_row, some_rows, sorted_row, wires

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")


def how_of(in_order: bool, timestamps: bool = False) -> int:
    flags = codec.ONE_BY_ONE | (codec.IN_ORDER if in_order else 0) | (codec.WITH_TIMESTAMPS if timestamps else 0)
    return int(flags)


def made(rows: list[Any], in_order: bool, timestamps: bool = False) -> list[Any]:
    if in_order:
        return [(row.row, make_ordered_row(row.sortedColumns, timestamps)) for row in rows]
    return [(row.row, make_row(row.columns, timestamps)) for row in rows]


def begun(compact: bool, framed: bool, how: int) -> Rig:
    rig = Rig(compact, framed)
    call_of(rig, "scannerGetList", how)
    return rig


@given(
    rows=st.lists(plain_row, max_size=9) | st.lists(sorted_row, min_size=1, max_size=9),
    timestamps=st.booleans(),
    piece=st.integers(1, 300),
)
@settings(max_examples=80, deadline=None)
def test_rows_are_made_as_happybase_makes_them(rows: list[Any], timestamps: bool, piece: int) -> None:
    in_order = bool(rows) and rows[0].columns is None
    for compact, framed in WIRES:
        rig = begun(compact, framed, how_of(in_order, timestamps))
        reply = rig.reply("scannerGetList", success=rows)
        states = [rig.channel.feed(reply[i : i + piece]) for i in range(0, len(reply), piece)]
        assert states == [codec.MORE] * (len(states) - 1) + [codec.DONE]
        found = rig.end()
        assert found.__length_hint__() == len(rows)
        listed = list(found)
        assert listed == made(rows, in_order, timestamps)
        assert [type(row) for _, row in listed] == [type(row) for _, row in made(rows, in_order)]
        assert found.__length_hint__() == 0 and next(found, None) is None


@wires
@pytest.mark.parametrize("in_order", [False, True])
def test_a_reply_cut_at_each_byte_is_incomplete(compact: bool, framed: bool, in_order: bool) -> None:
    rng = random.Random(1)
    for _ in range(4):
        rows = some_rows(rng, in_order)
        reply = begun(compact, framed, how_of(in_order)).reply("scannerGetList", success=rows)
        for cut in range(len(reply)):
            rig = begun(compact, framed, how_of(in_order))
            assert rig.channel.feed(reply[:cut]) == codec.MORE
            assert rig.channel.pending == cut, "all of it is kept for thriftpy2"
            assert rig.channel.feed(reply[cut:]) == codec.DONE
            assert list(rig.end()) == made(rows, in_order)


@wires
@pytest.mark.parametrize("in_order", [False, True])
def test_a_mutated_reply_is_never_anything_else_than_thriftpy2_says(
    compact: bool, framed: bool, in_order: bool
) -> None:
    rng = random.Random(5)
    replies = [
        begun(compact, framed, how_of(in_order)).reply("scannerGetList", success=some_rows(rng, in_order))
        for _ in range(20)
    ]
    accepted = 0
    for _ in range(1500):
        message = bytearray(rng.choice(replies))
        for _ in range(rng.choice([1, 1, 2, 5])):
            message[rng.randrange(len(message))] = rng.choice([0, 1, 255, 127, 128, 11, 12, 13, 15, rng.randrange(256)])
        rig = begun(compact, framed, how_of(in_order, True))
        cut = rng.randrange(len(message) + 1)
        state = rig.channel.feed(bytes(message[:cut]))
        if state == codec.MORE:
            state = rig.channel.feed(bytes(message[cut:]))
        if state != codec.DONE:
            assert bytes(message).startswith(rig.channel.take(1 << 30)), "all of it is left for thriftpy2"
            continue
        accepted += 1
        found = list(rig.channel.end_reply(rig.args))
        protocol = PROTOCOLS[compact](TMemoryBuffer(bytes(message[4:] if framed else message)), decode_response=False)
        protocol.read_message_begin()
        result = Hbase.scannerGetList_result()
        protocol.read_struct(result)
        assert found == made(result.success, in_order, True)
    assert accepted > 100


@wires
def test_rows_of_another_order_are_left_to_thriftpy2(compact: bool, framed: bool) -> None:
    for in_order in (False, True):
        rig = begun(compact, framed, how_of(in_order))
        rows = [TRowResult(b"k", {b"c": TCell(b"v", 1)})] if in_order else [TRowResult(b"k", None, [])]
        assert rig.channel.feed(rig.reply("scannerGetList", success=rows)) == codec.OTHER


@wires
def test_what_follows_a_reply_is_noticed(compact: bool, framed: bool) -> None:
    rows = [TRowResult(b"k%d" % i, {b"c": TCell(b"v" * 40, 1)}) for i in range(300)]
    rig = begun(compact, framed, how_of(False))
    assert rig.channel.feed(rig.reply("scannerGetList", success=rows) + b"x") == codec.DONE
    assert list(rig.channel.end_reply(rig.args)) == made(rows, False)
    assert rig.client.broken


def test_rows_beyond_a_limit_are_dropped() -> None:
    rows = [TRowResult(b"k%d" % i, {}) for i in range(9)]
    rig = begun(False, False, how_of(False))
    rig.channel.feed(rig.reply("scannerGetList", success=rows))
    for found in (rig.end(), codec.rows_made(made(rows, False))):
        assert next(found) == (b"k0", {})
        found.keep(3)
        found.keep(100)
        assert [key for key, _ in found] == [b"k1", b"k2", b"k3"]


def test_a_scan_uses_one_large_buffer_after_the_other_and_leaves_none() -> None:
    rows = [TRowResult(b"k%d" % i, {b"c": TCell(b"v" * 100, 1)}) for i in range(1000)]
    rig = begun(False, False, how_of(False))
    rig.channel.feed(rig.reply("scannerGetList", success=rows))
    found = rig.end()
    assert rig.channel.buffer_size == 0, "the rows have it"
    next(found)
    rig.begin("scannerGetList", 7, 10, how=how_of(False), used=found)
    assert rig.channel.buffer_size == 0, "there are rows in it"
    assert len(list(found)) == 999
    rig.channel.feed(rig.reply("scannerGetList", success=[]))
    assert list(rig.end()) == []
    for _ in range(2):
        rig.begin("scannerGetList", 7, 10, how=how_of(False), used=found)
        assert rig.channel.buffer_size > 100_000
        rig.channel.feed(rig.reply("scannerGetList", success=rows))
        again = rig.end()
        assert list(again) == made(rows, False) and rig.channel.buffer_size == 0
        found = again


@pytest.mark.parametrize("protocol", ["binary", "compact"])
def test_calls_between_the_rows_of_a_scan_do_not_disturb_it(protocol: str) -> None:
    with (
        HBaseServer(protocol=protocol) as server,
        fastpool.ConnectionPool(1, host=server.host, port=server.port, protocol=protocol) as pool,
        pool.connection() as connection,
    ):
        connection.create_table("t", {"f": {}})
        table = connection.table("t")
        rows = {b"%03d" % i: {b"f:%d" % j: b"v" * 90 * (i % 5) for j in range(9)} for i in range(60)}
        with table.batch() as batch:
            for key, row in rows.items():
                batch.put(key, row)
        other = table.scan(batch_size=7)
        seen = []
        for key, row in table.scan(batch_size=20):
            assert table.row(key) == row
            seen.append((key, row))
            assert next(other) == seen[-1]
        assert seen == list(rows.items())
        assert next(other, None) is None
    assert pool.stats().connects == 1
