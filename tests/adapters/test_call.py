"""One Thrift call without a socket: the bytes that it produces and consumes, and which outcomes cost the connection."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from Hbase_thrift import Hbase, IllegalArgument, TRowResult
from thriftpy2.protocol import TBinaryProtocol
from thriftpy2.thrift import TApplicationException, TMessageType
from thriftpy2.transport import TMemoryBuffer, TTransportException

import fastpool.adapters
from fastpool._errors import LeaseError
from fastpool.adapters._thrift.call import Call
from fastpool.adapters._thrift.client import BaseClient
from fastpool.adapters._thrift.prefix import PrefixedConnection
from fastpool.adapters._thrift.service import Method, declared_errors

from ._entry import FakeEntry
from ._faults import Interruption, Trap


class Wire:
    """A transport that carries nothing, and records how it was closed."""

    address = "nowhere:1"

    def __init__(self) -> None:
        self.sock: object = self
        self.interrupted = False

    def fileno(self) -> int:
        return -1

    def shut(self) -> None:
        self.sock = None

    def interrupt(self) -> None:
        self.interrupted = True

    discard = abandon = shut


class Holder(PrefixedConnection):
    """A connection whose lease check always succeeds."""

    table_prefix, table_prefix_separator = None, b"_"

    def __init__(self, entry: FakeEntry) -> None:
        self._entry = entry
        self._begin_prefixes()

    def note_error(self, error: BaseException) -> None:
        self.noted = error

    def check_holder(self) -> None:
        pass


class Client(BaseClient):
    """A client that neither sends nor receives; ``more`` is the data left behind the reply."""

    more = False

    def _has_leftover(self) -> bool:
        return self.more


class Rig:
    def __init__(self) -> None:
        self.entry = FakeEntry()
        self.entry.lease()
        self.wire = Wire()
        holder = Holder(self.entry)
        self.client = holder.client = Client(holder, self.entry, self.wire, TBinaryProtocol)

    def call(self, name: str, *args: object) -> Call:
        method = Method(Hbase, name)
        return Call(self.client, method, method.request(args, {}))

    @property
    def kept(self) -> bool:
        return self.entry.fit and self.client.in_step()


@pytest.fixture
def rig() -> Rig:
    return Rig()


def decoded(message: bytes, struct: Any) -> tuple[str, int, int]:
    """The header of ``message``; its body goes to ``struct``."""
    memory = TMemoryBuffer(message)
    protocol = TBinaryProtocol(memory)
    header: tuple[str, int, int] = protocol.read_message_begin()
    protocol.read_struct(struct)
    protocol.read_message_end()
    return header


def answered(call: Call, message: bytes, **success: object) -> None:
    """Give ``call`` the reply to ``message``, up to its end."""
    name, _, seqid = decoded(message, Hbase.getRow_args())
    reply = call.receive(name, TMessageType.REPLY, seqid)
    for field, value in success.items():
        setattr(reply, field, value)
    call.end(reply)


def test_from_begin_to_end(rig: Rig) -> None:
    call = rig.call("getRow", b"t", b"k", {})
    message = call.begin()
    request = Hbase.getRow_args()
    name, kind, _ = decoded(message, request)
    assert (name, kind, request.row) == ("getRow", TMessageType.CALL, b"k")
    assert rig.entry.busy and not rig.client.in_step()
    rows = [TRowResult(row=b"k")]
    answered(call, message, success=rows)
    assert call.value == rows
    assert rig.kept


def test_a_declared_error_is_a_reply(rig: Rig) -> None:
    call = rig.call("createTable", b"t", [])
    reply = call.receive("createTable", TMessageType.REPLY, decoded(call.begin(), Hbase.createTable_args())[2])
    reply.ia = IllegalArgument("no")
    call.end(reply)
    assert isinstance(call.error, declared_errors(Hbase))
    assert call._client._connection.noted is call.error
    assert rig.kept


def test_what_cannot_be_encoded_costs_nothing(rig: Rig) -> None:
    call = rig.call("getRowWithColumns", b"t", b"k", Trap(ValueError()), {})
    with pytest.raises(ValueError) as caught:
        call.begin()
    call.fail(caught.value)
    assert rig.kept


def test_an_interruption_while_encoding_costs_the_connection(rig: Rig) -> None:
    call = rig.call("getRowWithColumns", b"t", b"k", Trap(), {})
    with pytest.raises(Interruption) as caught:
        call.begin()
    call.fail(caught.value)
    assert not rig.kept


def test_a_failure_after_the_message_was_made_costs_the_connection(rig: Rig) -> None:
    call = rig.call("getRow", b"t", b"k", {})
    call.begin()
    call.fail(OSError())
    assert rig.wire.sock is None
    assert not rig.kept


def test_a_refused_call_costs_the_one_under_way_nothing(rig: Rig) -> None:
    first, second = rig.call("getRow", b"t", b"a", {}), rig.call("getRow", b"t", b"b", {})
    message = first.begin()
    with pytest.raises(LeaseError) as caught:
        second.begin()
    second.fail(caught.value)
    answered(first, message, success=[])
    assert first.value == []
    assert rig.kept


def header_of_another_call(call: Call, seqid: int) -> None:
    call.receive("getRow", TMessageType.REPLY, seqid - 1)


def header_of_another_method(call: Call, seqid: int) -> None:
    call.receive("getVer", TMessageType.REPLY, seqid)


def header_of_a_request(call: Call, seqid: int) -> None:
    call.receive("getRow", TMessageType.CALL, seqid)


def neither_value_nor_error(call: Call, seqid: int) -> None:
    call.end(call.receive("getRow", TMessageType.REPLY, seqid))


def refusal(call: Call, seqid: int) -> None:
    failure = call.receive("getRow", TMessageType.EXCEPTION, seqid)
    failure.type, failure.message = TApplicationException.INTERNAL_ERROR, b"\xff"
    call.end(failure)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (header_of_another_call, TApplicationException.BAD_SEQUENCE_ID),
        (header_of_another_method, TApplicationException.WRONG_METHOD_NAME),
        (header_of_a_request, TApplicationException.INVALID_MESSAGE_TYPE),
        (neither_value_nor_error, TApplicationException.MISSING_RESULT),
        (refusal, TApplicationException.INTERNAL_ERROR),
    ],
)
def test_any_other_message_costs_the_connection(rig: Rig, step: Callable[[Call, int], None], kind: int) -> None:
    call = rig.call("getRow", b"t", b"k", {})
    _, _, seqid = decoded(call.begin(), Hbase.getRow_args())
    with pytest.raises(TApplicationException) as caught:
        step(call, seqid)
    assert caught.value.type == kind
    assert isinstance(str(caught.value), str)
    call.fail(caught.value)
    assert not rig.kept


def test_more_than_the_reply_costs_the_connection_and_the_reply_counts(rig: Rig) -> None:
    rig.client.more = True
    call = rig.call("getRow", b"t", b"k", {})
    answered(call, call.begin(), success=[])
    assert call.value == []
    assert not rig.kept


def test_a_call_of_a_connection_that_was_taken_away_leaves_the_entry_alone(rig: Rig) -> None:
    call = rig.call("getRow", b"t", b"k", {})
    message = call.begin()
    rig.client.retire()
    assert rig.wire.interrupted
    rig.entry.replaced()
    rig.entry.begin_call()  # the connection that has replaced it in the slot
    with pytest.raises(TTransportException) as caught:
        answered(call, message, success=[])
    call.fail(caught.value)
    assert rig.entry.busy and not rig.entry.tainted
    assert rig.wire.sock is None


def test_scanners_are_counted_until_they_are_closed(rig: Rig) -> None:
    opening = rig.call("scannerOpenWithScan", b"t", None, {})
    reply = opening.receive("scannerOpenWithScan", TMessageType.REPLY, sequence_id(opening.begin()))
    reply.success = 7
    opening.end(reply)
    assert rig.entry.needs_reset and rig.client.scanners == {7}
    closing = rig.call("scannerClose", 7)
    closing.end(closing.receive("scannerClose", TMessageType.REPLY, sequence_id(closing.begin())))
    assert not rig.entry.needs_reset and not rig.client.scanners


def sequence_id(message: bytes) -> int:
    seqid: int = TBinaryProtocol(TMemoryBuffer(message)).read_message_begin()[2]
    return seqid


# ---- the two clients that perform the call

FOLDER = Path(fastpool.adapters.__file__).parent
TWINS = ["blocks", "client", "connection", "pool", "table", "transport"]


def test_nothing_that_both_share_awaits() -> None:
    for file in (FOLDER / "_thrift").glob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text()))
        assert not [n for n in nodes if isinstance(n, (ast.AsyncFunctionDef, ast.Await, ast.AsyncWith))], file


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_what_both_have_in_the_same_order(name: str) -> None:
    ours, theirs = (defined(FOLDER / kind / f"{name}.py") for kind in ("happybase", "aiohappybase"))
    assert [d for d in ours if d in theirs] == [d for d in theirs if d in ours]


def defined(file: Path) -> list[str]:
    """The classes and functions of a module, methods by their classes, in their order."""
    found: list[str] = []
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.append(node.name)
            body = node.body if isinstance(node, ast.ClassDef) else []
            found += [f"{node.name}.{m.name}" for m in body if isinstance(m, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return found
