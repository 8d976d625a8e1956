"""The codec alone, beside thriftpy2: the same bytes, equal objects, and nothing that anybody may send breaks it."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest
from happybase.table import make_ordered_row, make_row
from Hbase_thrift import BatchMutation, Hbase, IllegalArgument, Mutation, TCell, TColumn, TIncrement, TRowResult, TScan
from Hbase_thrift import IOError as HBaseIOError
from hypothesis import given, settings
from hypothesis import strategies as st
from thriftpy2.protocol import TBinaryProtocol, TCompactProtocol
from thriftpy2.thrift import TMessageType
from thriftpy2.transport import TMemoryBuffer

from fastpool.adapters._thrift.codec import codec
from fastpool.adapters._thrift.compiled import operations
from fastpool.adapters._thrift.service import Method

from ._entry import FakeEntry

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")

PROTOCOLS = {False: TBinaryProtocol, True: TCompactProtocol}
WIRES = [(compact, framed) for compact in (False, True) for framed in (False, True)]
wires = pytest.mark.parametrize(("compact", "framed"), WIRES, ids=lambda value: str(value))


class Client:
    """The part of a client that a channel needs; it fails loudly where a call should not end."""

    _retired = False
    _call: object = None

    def __init__(self, seqid: int = 41) -> None:
        self._seqid = seqid
        self._socket = self
        self.sock = object()
        self.broken = False

    def _break_off(self, desync: bool) -> None:
        self.broken = True

    def note_scanner(self, method: Method, args: tuple[Any, ...], value: object) -> None:
        pass


class Rig:
    """A channel with a call under way."""

    def __init__(self, compact: bool, framed: bool, seqid: int = 41) -> None:
        self.compact, self.framed = compact, framed
        self.client = Client(seqid)
        self.entry = FakeEntry()
        self.entry.lease()
        self.channel = codec.Channel(self.client, self.entry, operations(Hbase, Client), compact, framed, True)

    def begin(self, name: str, *args: Any, how: int | None = None, used: Any = None) -> Any:
        self.args = args
        form = codec.AS_STRUCTS if how is None else how
        return self.channel.start(codec.Prepared(self.channel.operations[name], args, form, used))

    def reply(self, name: str, **fields: Any) -> bytes:
        result = getattr(Hbase, name + "_result")()
        for field, value in fields.items():
            setattr(result, field, value)
        return written(name, TMessageType.REPLY, self.client._seqid, result, self.compact, self.framed)

    def end(self) -> Any:
        value = self.channel.end_reply(self.args)
        assert self.entry.fit and self.client._call is None
        return value


def written(name: str, kind: int, seqid: int, struct: Any, compact: bool, framed: bool) -> bytes:
    """A message as thriftpy2 writes it."""
    memory = TMemoryBuffer()
    protocol = PROTOCOLS[compact](memory)
    protocol.write_message_begin(name, kind, seqid)
    protocol.write_struct(struct)
    protocol.write_message_end()
    data: bytes = memory.getvalue()
    return len(data).to_bytes(4, "big") + data if framed else data


# ---- what is sent

text = st.one_of(st.binary(max_size=40), st.text(st.characters(max_codepoint=127), max_size=20))
i32 = st.integers(-(2**31), 2**31 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
mutation = st.builds(Mutation, st.booleans(), text, st.none() | text, st.booleans())
scan = st.builds(
    TScan,
    startRow=st.none() | text,
    stopRow=st.none() | text,
    timestamp=st.none() | i64,
    columns=st.none() | st.lists(text, max_size=20),
    caching=st.none() | i32,
    filterString=st.none() | text,
    batchSize=st.none() | i32,
    sortColumns=st.none() | st.booleans(),
    reversed=st.none() | st.booleans(),
)
STRUCTS = {
    "scan": scan,
    "mput": mutation,
    "increment": st.builds(TIncrement, text, text, text, i64),
    "mutations": st.lists(mutation, max_size=20),
    "rowBatches": st.lists(st.builds(BatchMutation, text, st.lists(mutation, max_size=17)), max_size=17),
    "increments": st.lists(st.builds(TIncrement, text, text, text, i64), max_size=17),
    "attributes": st.dictionaries(text, text, max_size=3),
    "columns": st.none() | st.lists(text, max_size=17) | st.lists(text, max_size=3).map(tuple),
    "rows": st.lists(text, max_size=17),
}
SENT = sorted(set(operations(Hbase, Client)) - {"createTable", "append"})


def arguments(name: str) -> st.SearchStrategy[tuple[Any, ...]]:
    kinds = {8: i32, 10: i64, 11: text, 18: text}
    spec = getattr(Hbase, name + "_args").thrift_spec
    return st.tuples(*(STRUCTS[f[1]] if f[1] in STRUCTS else kinds[f[0]] for f in spec.values()))


@pytest.mark.parametrize("name", SENT)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_arguments_are_written_as_thriftpy2_writes_them(name: str, data: st.DataObject) -> None:
    args = data.draw(arguments(name))
    seqid = data.draw(st.integers(0, 2**31 - 2))
    for compact, framed in WIRES:
        rig = Rig(compact, framed, seqid)
        request = Method(Hbase, name).request(args, {})
        assert rig.begin(name, *args) == written(name, TMessageType.CALL, seqid + 1, request, compact, framed)
        assert rig.entry.busy and rig.client._seqid == seqid + 1


@given(
    rows=st.dictionaries(text, st.lists(st.tuples(text, st.none() | text, st.booleans(), st.booleans()), max_size=17)),
    timestamp=st.none() | i64,
)
@settings(max_examples=60, deadline=None)
def test_batches_are_written_as_thriftpy2_writes_them(rows: dict[Any, Any], timestamp: int | None) -> None:
    made = [BatchMutation(k, [Mutation(d, c, v, w) for c, v, d, w in m]) for k, m in rows.items()]
    flat = {key: [part for one in mutations for part in one] for key, mutations in rows.items()}
    name = "mutateRows" if timestamp is None else "mutateRowsTs"
    args = (b"t", made, {}) if timestamp is None else (b"t", made, timestamp, {})
    for compact, framed in WIRES:
        rig = Rig(compact, framed)
        message = rig.channel.start(codec.prepared_batch(rig.channel.operations[name], b"t", flat, timestamp))
        request = Method(Hbase, name).request(args, {})
        assert message == written(name, TMessageType.CALL, 42, request, compact, framed)


class Bytes(bytes):
    pass


@wires
@pytest.mark.parametrize(
    "args",
    [
        (b"t", bytearray(b"r"), None, {}),
        (b"t", Bytes(b"r"), None, {}),
        (b"t", "ü", None, {}),
        (b"t", 7, None, {}),
        (b"t", b"r", iter([b"c"]), {}),
        (b"t", b"r", {b"c"}, {}),
        (b"t", b"r", [b"c", None], {}),
        (b"t", b"r", [memoryview(b"c")], {}),
        (b"t", b"r", None, OrderedDict()),
        (b"t", b"r", None, {b"a": 1}),
        (b"t", b"r", None, {}, b"more"),
    ],
    ids=repr,
)
def test_other_types_are_left_to_thriftpy2(compact: bool, framed: bool, args: tuple[Any, ...]) -> None:
    rig = Rig(compact, framed)
    assert rig.begin("getRowWithColumns", *args) is None
    assert rig.entry.fit and not rig.entry.busy and rig.client._seqid == 41 and rig.client._call is None


@pytest.mark.parametrize("number", [True, 2**63, -(2**63) - 1, 1.0, "1"], ids=repr)
def test_other_numbers_are_left_to_thriftpy2(number: Any) -> None:
    assert Rig(False, False).begin("atomicIncrement", b"t", b"r", b"c", number) is None
    assert Rig(False, False).begin("scannerGetList", number, 1) is None
    assert Rig(False, False).begin("scannerGetList", 1, 2**31) is None


# ---- what is received

cells = st.builds(TCell, st.binary(max_size=50), i64)
columns = st.dictionaries(st.binary(max_size=9), cells, max_size=20)
plain_row = st.builds(TRowResult, st.binary(max_size=9), columns)
sorted_row = st.builds(
    lambda key, found: TRowResult(key, None, [TColumn(name, cell) for name, cell in found.items()]),
    st.binary(max_size=9),
    columns,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "getRow": st.lists(plain_row, max_size=17) | st.lists(sorted_row, max_size=3),
    "scannerGetList": st.lists(plain_row, max_size=17) | st.lists(sorted_row, max_size=17),
    "getVer": st.lists(cells, max_size=17),
    "getTableNames": st.lists(st.binary(max_size=20), max_size=17),
    "atomicIncrement": i64,
    "scannerOpenWithScan": i32,
    "isTableEnabled": st.booleans(),
    "mutateRows": st.none(),
}


def call_of(rig: Rig, name: str, how: int | None = None) -> None:
    kinds = {8: 1, 10: 1, 18: b"x"}
    spec = getattr(Hbase, name + "_args").thrift_spec
    extra = {"attributes": {}, "scan": TScan(), "rowBatches": []}
    assert rig.begin(name, *(extra.get(f[1], kinds.get(f[0])) for f in spec.values()), how=how)


@pytest.mark.parametrize("name", VALUES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_replies_are_read_as_thriftpy2_reads_them(name: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[name])
    for compact, framed in WIRES:
        rig = Rig(compact, framed)
        call_of(rig, name)
        assert rig.channel.feed(rig.reply(name, **({} if value is None else {"success": value}))) == codec.DONE
        found = rig.end()
        assert found == value and type(found) is type(value)
        assert repr(found) == repr(value), "structs have their attributes in thriftpy2's order"
        assert not rig.client.broken and rig.channel.pending == 0


@given(rows=st.lists(plain_row, max_size=9), timestamps=st.booleans())
@settings(max_examples=60, deadline=None)
def test_rows_are_made_as_happybase_makes_them(rows: list[Any], timestamps: bool) -> None:
    for compact, framed in WIRES:
        rig = Rig(compact, framed)
        call_of(rig, "getRow", codec.WITH_TIMESTAMPS if timestamps else codec.AS_ROWS)
        assert rig.channel.feed(rig.reply("getRow", success=rows)) == codec.DONE
        made = [(row.row, make_row(row.columns, timestamps)) for row in rows]
        found = rig.end()
        assert found == made
        assert [list(row.items()) for _, row in found] == [list(row.items()) for _, row in made], "the same order"


@given(rows=st.lists(sorted_row, max_size=9), timestamps=st.booleans())
@settings(max_examples=40, deadline=None)
def test_sorted_rows_are_made_as_happybase_makes_them(rows: list[Any], timestamps: bool) -> None:
    for compact, framed in WIRES:
        rig = Rig(compact, framed)
        call_of(rig, "scannerGetList", codec.IN_ORDER | (codec.WITH_TIMESTAMPS if timestamps else 0))
        assert rig.channel.feed(rig.reply("scannerGetList", success=rows)) == codec.DONE
        found = rig.end()
        assert found == [(row.row, make_ordered_row(row.sortedColumns, timestamps)) for row in rows]
        assert all(type(row) is OrderedDict for _, row in found)


def some_rows(rng: random.Random, in_order: bool) -> list[Any]:
    def columns() -> dict[bytes, Any]:
        names = [rng.randbytes(rng.randrange(8)) for _ in range(rng.choice([0, 1, 3, 9]))]
        return {n: TCell(rng.randbytes(rng.choice([0, 3, 30])), rng.randrange(-(2**63), 2**63)) for n in names}

    keys = [b"k%d" % i for i in range(rng.choice([0, 1, 3]))]
    if in_order:
        return [TRowResult(k, None, [TColumn(n, c) for n, c in columns().items()]) for k in keys]
    return [TRowResult(k, columns()) for k in keys]


def replies(rng: random.Random, compact: bool, framed: bool, count: int) -> Iterator[tuple[Rig, list[Any], bytes, int]]:
    for i in range(count):
        rig = Rig(compact, framed)
        rows = some_rows(rng, i % 2 == 1)
        how = codec.AS_STRUCTS
        call_of(rig, "getRow", how)
        yield rig, rows, rig.reply("getRow", success=rows), how


@wires
def test_a_reply_cut_at_each_byte_is_incomplete(compact: bool, framed: bool) -> None:
    for _, rows, reply, how in replies(random.Random(1), compact, framed, 6):
        for cut in range(len(reply)):
            rig = Rig(compact, framed)
            call_of(rig, "getRow", how)
            assert rig.channel.feed(reply[:cut]) == codec.MORE
            assert rig.channel.pending == cut
            assert rig.channel.feed(reply[cut:]) == codec.DONE
            assert rig.end() == rows


@wires
def test_one_byte_at_a_time(compact: bool, framed: bool) -> None:
    for rig, rows, reply, _ in replies(random.Random(2), compact, framed, 8):
        states = [rig.channel.feed(reply[i : i + 1]) for i in range(len(reply))]
        assert states == [codec.MORE] * (len(reply) - 1) + [codec.DONE]
        assert rig.end() == rows


@wires
def test_what_follows_a_reply_is_noticed(compact: bool, framed: bool) -> None:
    for rig, rows, reply, _ in replies(random.Random(3), compact, framed, 8):
        assert rig.channel.feed(reply + b"x") == codec.DONE
        assert rig.channel.end_reply(rig.args) == rows
        assert rig.client.broken


@wires
def test_a_mutated_reply_is_never_anything_else_than_thriftpy2_says(compact: bool, framed: bool) -> None:
    """A reply that the codec accepts is read by thriftpy2 likewise, and from the same bytes."""
    rng = random.Random(4)
    outcomes = dict.fromkeys((codec.MORE, codec.DONE, codec.OTHER), 0)
    messages = [reply for _, _, reply, _ in replies(rng, compact, framed, 20)]
    for _ in range(4000):
        message = bytearray(rng.choice(messages))
        for _ in range(rng.choice([1, 1, 2, 5])):
            message[rng.randrange(len(message))] = rng.choice([0, 1, 255, 127, 128, 11, 12, 13, 15, rng.randrange(256)])
        rig = Rig(compact, framed)
        call_of(rig, "getRow")
        state = rig.channel.feed(bytes(message))
        outcomes[state] += 1
        if state != codec.DONE:
            assert rig.channel.pending == len(message), "all of it is left for thriftpy2"
            assert rig.channel.take(1 << 30) == message
            continue
        left = rig.channel.pending
        found = rig.channel.end_reply(rig.args)
        memory = TMemoryBuffer(bytes(message[4:] if framed else message))
        protocol = PROTOCOLS[compact](memory, decode_response=False)
        protocol.read_message_begin()
        result = Hbase.getRow_result()
        protocol.read_struct(result)
        assert repr(found) == repr(result.success)
        assert rig.client.broken == (left > 0)
    assert all(outcomes.values()), outcomes


@wires
@pytest.mark.parametrize("error", [HBaseIOError(b"io"), IllegalArgument(b"ia")], ids=repr)
def test_declared_errors_are_left_to_thriftpy2(compact: bool, framed: bool, error: Exception) -> None:
    rig = Rig(compact, framed)
    call_of(rig, "scannerGetList")
    reply = rig.reply("scannerGetList", **{"ia" if isinstance(error, IllegalArgument) else "io": error})
    assert rig.channel.feed(reply) == codec.OTHER
    assert rig.channel.take(1 << 20) == reply


@wires
@pytest.mark.parametrize("change", ["seqid", "name", "kind"])
def test_another_header_is_left_to_thriftpy2(compact: bool, framed: bool, change: str) -> None:
    rig = Rig(compact, framed)
    call_of(rig, "getRow")
    header = {"name": "getRow", "kind": TMessageType.REPLY, "seqid": rig.client._seqid}
    header[change] = {"seqid": 40, "name": "getRaw", "kind": TMessageType.EXCEPTION}[change]
    reply = written(**header, struct=Hbase.getRow_result(success=[]), compact=compact, framed=framed)
    assert rig.channel.feed(reply) == codec.OTHER
    assert rig.channel.take(1 << 20) == reply


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0"], ids=repr)
def test_an_impossible_frame_is_left_to_thriftpy2(compact: bool, length: bytes) -> None:
    rig = Rig(compact, True)
    call_of(rig, "getRow")
    assert rig.channel.feed(length) == codec.OTHER


# ---- memory


@wires
def test_a_large_cell_and_a_buffer_that_shrinks_again(compact: bool, framed: bool) -> None:
    rig = Rig(compact, framed)
    usual = 1 << 14
    for size, most in ((10 << 20, usual), (3, usual), (700_000, 1 << 20), *[(3, 1 << 20)] * 7, (3, usual)):
        call_of(rig, "getRow", codec.AS_ROWS)
        value = b"v" * size
        reply = rig.reply("getRow", success=[TRowResult(b"k", {b"c": TCell(value, 1)})])
        pieces = [reply[i : i + 60_000] for i in range(0, len(reply), 60_000)]
        assert [rig.channel.feed(piece) for piece in pieces][-1] == codec.DONE
        assert rig.end() == [(b"k", {b"c": value})]
        assert rig.channel.buffer_size <= most, size


def test_a_count_allocates_nothing_by_itself() -> None:
    """A reply that claims two thousand million columns, and has none."""
    rig = Rig(False, False)
    call_of(rig, "getRow", codec.AS_ROWS)
    reply = rig.reply("getRow", success=[TRowResult(b"k", {})])
    at = reply.rindex(b"\x0d\x00\x02") + 3
    assert rig.channel.feed(reply[:at] + b"\x0b\x0c\x7f\xff\xff\xff") == codec.MORE
    assert rig.channel.buffer_size <= 1 << 14
