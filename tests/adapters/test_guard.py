"""The guarded client alone, on a fake entry: what costs the connection, and which reply belongs to which call."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from Hbase_thrift import AlreadyExists, Hbase, IllegalArgument
from Hbase_thrift import IOError as HBaseIOError
from thriftpy2.thrift import TApplicationException, TException, TMessageType
from thriftpy2.transport import TTransportException

from fastpool._errors import LeaseError

from ._faults import Trap
from ._held import Held
from ._scripted import Call, ScriptedServer, row


def must_be_lost(held: Held) -> None:
    assert not held.entry.fit
    assert not held.connection.transport.is_open()
    with pytest.raises(TTransportException, match="was closed, or a call on it failed or was interrupted") as caught:
        held.row()
    assert caught.value.type == TTransportException.NOT_OPEN


def test_call_gets_its_reply_and_leaves_the_entry_clean(held: Held) -> None:
    for i in range(20):
        assert held.row(b"%d" % i) == row(b"%d" % i)
        assert held.entry.fit
    assert held.connection.tables() == [b"t"]


def test_sequence_ids_increase(held: Held, server: ScriptedServer) -> None:
    for _ in range(3):
        held.row()
    (stream,) = server.accepted
    assert [b - a for a, b in zip(stream.seqids, stream.seqids[1:], strict=False)] == [1, 1]


def test_sequence_id_wraps_around(held: Held, server: ScriptedServer) -> None:
    held.connection.client._seqid = 0x7FFFFFFF - 1
    for i in range(3):
        assert held.row(b"%d" % i) == row(b"%d" % i)
    assert server.accepted[0].seqids == [0x7FFFFFFF, 0, 1]


def wrong_id(call: Call) -> None:
    call.stream.send(call.stream.good(call, seqid=call.seqid - 1))


def wrong_name(call: Call) -> None:
    call.stream.send(call.stream.good(call, name="getRow"))


def wrong_type(call: Call) -> None:
    call.stream.send(
        call.stream.encode(call.name, call.seqid, getattr(Hbase, call.name + "_result")(), TMessageType.CALL)
    )


def no_result(call: Call) -> None:
    call.stream.send(call.stream.encode(call.name, call.seqid, getattr(Hbase, call.name + "_result")()))


def refusal(call: Call) -> None:
    call.stream.send(call.stream.refusal(call))


def refusal_with_wrong_id(call: Call) -> None:
    call.stream.send(call.stream.refusal(call, seqid=call.seqid + 5))


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (wrong_id, TApplicationException.BAD_SEQUENCE_ID),
        (wrong_name, TApplicationException.WRONG_METHOD_NAME),
        (wrong_type, TApplicationException.INVALID_MESSAGE_TYPE),
        (no_result, TApplicationException.MISSING_RESULT),
        (refusal, TApplicationException.INTERNAL_ERROR),
        (refusal_with_wrong_id, TApplicationException.BAD_SEQUENCE_ID),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_reply_out_of_step_costs_the_connection(
    held: Held, server: ScriptedServer, script: Callable[[Call], None], kind: int
) -> None:
    server.script = script
    with pytest.raises(TApplicationException) as caught:
        held.row()
    assert caught.value.type == kind
    assert isinstance(str(caught.value), str)
    must_be_lost(held)


def test_unsolicited_reply_behind_a_good_one_taints_but_the_good_one_counts(held: Held, server: ScriptedServer) -> None:
    server.script = lambda call: call.stream.send(2 * call.stream.good(call))
    assert held.row(b"a") == row(b"a")
    must_be_lost(held)


@pytest.mark.parametrize("extra", [b"\0", b"\0\0\0\1", b"\xff" * 3, b"\x7f\xff\xff\xff", b"x" * 5000])
def test_bytes_behind_a_reply_taint(held: Held, server: ScriptedServer, extra: bytes) -> None:
    server.script = lambda call: call.stream.send(call.stream.good(call) + extra)
    big = b"k" * 20_000  # the extra bytes then arrive in a read that also has the reply's end
    assert held.row(b"a") == row(b"a")
    if held.entry.fit:
        # They may have come in a segment of their own: then the next call reads them before its own reply.
        with pytest.raises(Exception):
            held.row(big)
    assert not held.entry.fit


def test_large_replies_leave_nothing_behind(held: Held) -> None:
    for size in (1, 4095, 4096, 4097, 70_000, 3, 300_000, 10):
        key = b"k" * size
        assert held.row(key) == row(key)
        assert held.entry.fit


def test_half_a_reply_then_hang_up(held: Held, server: ScriptedServer) -> None:
    def script(call: Call) -> None:
        call.stream.send(call.stream.good(call)[:-7])
        raise OSError  # ends the stream

    server.script = script
    with pytest.raises((TException, OSError)):
        held.row()
    must_be_lost(held)


def test_half_a_reply_then_silence(server: ScriptedServer) -> None:
    held = Held(server, timeout=20_000)
    held.connection.client._socket.settimeout(0.1)  # only now: connecting may take longer on a busy machine
    server.script = lambda call: call.stream.send(call.stream.good(call)[:-7])
    with pytest.raises(TimeoutError):
        held.row()
    must_be_lost(held)
    held.end()


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x80\x02\0\1" + b"\0" * 40, b"\0" * 50])
def test_garbage_for_a_reply(server: ScriptedServer, garbage: bytes) -> None:
    held = Held(server, timeout=20_000)

    def script(call: Call) -> None:
        call.stream.send(garbage)
        raise OSError  # ends the stream

    server.script = script
    with pytest.raises(Exception):
        held.row()
    must_be_lost(held)
    held.end()


def test_timeout_then_late_reply_reaches_no_caller(plain_server: ScriptedServer) -> None:
    held = Held(plain_server, timeout=100)
    timed_out = threading.Event()

    def late(call: Call) -> None:
        assert timed_out.wait(5)
        call.stream.send(call.stream.good(call))

    plain_server.script = late
    with pytest.raises(TimeoutError):
        held.row(b"slow")
    plain_server.script = None
    timed_out.set()
    must_be_lost(held)
    held.connection.open()
    assert held.row(b"other") == row(b"other")
    held.end()


@pytest.mark.parametrize("error", [HBaseIOError(b"io"), IllegalArgument(b"ia"), AlreadyExists(b"exist")], ids=repr)
def test_declared_errors_keep_the_connection(held: Held, server: ScriptedServer, error: TException) -> None:
    field = {HBaseIOError: "io", IllegalArgument: "ia", AlreadyExists: "exist"}[type(error)]

    def script(call: Call) -> None:
        result = getattr(Hbase, call.name + "_result")()
        setattr(result, field, error)
        call.stream.send(call.stream.encode(call.name, call.seqid, result))

    server.script = script
    with pytest.raises(type(error)) as caught:
        held.connection.create_table("t", {"cf": {}})
    assert caught.value.message == error.message
    assert held.entry.fit
    server.script = None
    assert held.row(b"a") == row(b"a")
    assert server.connections(1) == 1


def test_argument_that_cannot_be_sent_costs_nothing(held: Held, server: ScriptedServer) -> None:
    for _ in range(3):
        with pytest.raises(Exception):
            held.connection.client.getRowWithColumns(b"t", b"r", [b"fine" * 3000, object()], {})
        assert held.entry.fit
        assert held.row(b"a") == row(b"a")
    assert server.calls == ["getRowWithColumns"] * 3


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr)
def test_interrupt_before_anything_was_sent_costs_the_connection_too(
    held: Held, server: ScriptedServer, reason: BaseException
) -> None:
    with pytest.raises(type(reason)) as caught:
        held.connection.client.getRowWithColumns(b"t", b"r", Trap(reason), {})
    assert caught.value is reason
    must_be_lost(held)
    assert server.calls == []


def test_calls_of_two_threads_do_not_mix(held: Held, server: ScriptedServer) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def hold(call: Call) -> None:
        arrived.set()
        assert go_on.wait(5)
        call.stream.send(call.stream.good(call))

    server.script = hold
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(held.connection.client.getTableNames()))
    thread.start()
    assert arrived.wait(5)
    with pytest.raises(LeaseError):
        held.connection.tables()
    go_on.set()
    thread.join(5)
    assert found == [[b"t"]]
    assert held.entry.fit


def test_after_the_lease_nothing_is_sent(held: Held, server: ScriptedServer) -> None:
    client = held.connection.client
    held.entry.give_back()
    for use in (
        held.connection.tables,
        lambda: held.connection.table("t"),
        client.getTableNames,
        lambda: client._req("getTableNames"),
        held.connection.close,
        held.connection.transport.close,
        client.close,
        held.connection._refresh_thrift_client,
    ):
        with pytest.raises(LeaseError):
            use()
    assert held.connection.client is client
    assert client.is_open()
    assert server.calls == []
    held.entry.lease()
    assert held.row(b"a") == row(b"a")


def test_sending_and_receiving_apart_is_refused(held: Held) -> None:
    with pytest.raises(TypeError, match="getTableNames"):
        held.connection.client._send("getTableNames")
    with pytest.raises(TypeError, match="getTableNames"):
        held.connection.client._recv("getTableNames")
    assert held.entry.fit


def test_client_looks_like_thriftpy2s(held: Held) -> None:
    client = held.connection.client
    assert dir(client) == sorted(Hbase.thrift_services)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        client.nonsense()
    assert client.getTableNames() == [b"t"]
    assert client.getRowWithColumns(tableName=b"t", row=b"r", columns=None, attributes={})[0].row == b"r"
    assert client.getRowWithColumns(b"t", row=b"r")[0].row == b"r"
    with pytest.raises(TypeError):
        client.getTableNames(1, 2)
    assert held.entry.fit
