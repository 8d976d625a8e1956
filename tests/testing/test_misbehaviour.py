"""Held calls and replies that go wrong, byte by byte as a test asked for."""

from __future__ import annotations

import select
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import happybase
import pytest
from thriftpy2.transport import TTransportException

from fastpool.testing import HBaseServer
from fastpool.testing.hbase import engine as hbase_engine
from fastpool.testing.hbase.script import KINDS
from fastpool.testing.sockets import listen

from .conftest import WIRES, Connect


def send(connection: happybase.Connection, method: str = "getTableNames", **arguments: Any) -> None:
    """Send a call and leave its reply unread."""
    connection.client._send(method, **arguments)


def header(connection: happybase.Connection) -> tuple[Any, int]:
    """Read a reply to getTableNames: the method name and the sequence id that it bears."""
    protocol = connection.client._iprot
    name, _, seqid = protocol.read_message_begin()
    result = connection.client._service.getTableNames_result()
    result.read(protocol)
    protocol.read_message_end()
    assert result.success == [b"t"]
    return name if isinstance(name, str) else name.decode(), seqid


def unread(connection: happybase.Connection) -> bool:
    """Whether the socket has data, or the end, to read at this moment."""
    return bool(select.select([connection.transport.sock], [], [], 0)[0])


@pytest.fixture(params=WIRES, ids="-".join)
def wired(request: pytest.FixtureRequest, connect: Connect) -> Any:
    """A server and a connection to it, for each wire."""
    protocol, transport = request.param
    with HBaseServer(protocol=protocol, transport=transport) as server:
        connection = connect(server, protocol=protocol, transport=transport)
        connection.create_table("t", {"f": {}})
        yield server, connection


def test_wrong_sequence_id_and_wrong_name(wired: tuple[HBaseServer, happybase.Connection]) -> None:
    server, connection = wired
    wrong = server.misbehave("wrong_seqid", times=2)
    server.misbehave("wrong_name")
    assert not wrong.happened.is_set()
    answers = []
    for _ in range(4):
        send(connection)
        answers.append(header(connection))
    assert wrong.happened.is_set()
    assert answers == [("getTableNames", 1), ("getTableNames", 1), ("getRow", 0), ("getTableNames", 0)]


def test_extra_reply_comes_in_one_piece_with_the_right_one(wired: tuple[HBaseServer, happybase.Connection]) -> None:
    server, connection = wired
    server.misbehave("extra_reply")
    send(connection)
    assert header(connection) == ("getTableNames", 0)
    assert header(connection) == ("getTableNames", 0)
    assert connection.tables() == [b"t"]


def test_extra_reply_later_is_there_when_it_was_released(wired: tuple[HBaseServer, happybase.Connection]) -> None:
    server, connection = wired
    extra = server.misbehave("extra_reply_later")
    assert connection.tables() == [b"t"]
    assert not unread(connection)
    assert connection.tables() == [b"t"]
    assert extra.release()
    assert unread(connection)
    assert header(connection) == ("getTableNames", 0)


def test_half_a_reply_then_silence_until_the_client_leaves(wired: tuple[HBaseServer, happybase.Connection]) -> None:
    server, connection = wired
    whole = reply_of(server, connection)
    half = server.misbehave("half_reply")
    send(connection)
    assert half.happened.wait(5)
    assert len(connection.transport.sock.recv(1000)) == len(whole) // 2
    send(connection)
    assert not unread(connection)
    assert server.calls["getTableNames"] == 2
    connection.close()
    assert server.wait_connections(0)


def reply_of(server: HBaseServer, connection: happybase.Connection) -> bytes:
    send(connection)
    return connection.transport.sock.recv(1000)


def test_late_reply_comes_when_it_is_released(wired: tuple[HBaseServer, happybase.Connection]) -> None:
    server, connection = wired
    late = server.misbehave("late_reply")
    send(connection)
    assert late.happened.wait(5)
    assert not unread(connection)
    assert late.release()
    assert unread(connection)
    assert header(connection) == ("getTableNames", 0)


def test_a_late_reply_is_not_said_to_be_sent_as_soon_as_it_is_heard_of(server: HBaseServer, connect: Connect) -> None:
    connection = connect(server)
    late = server.misbehave("late_reply")
    said: list[bool] = []
    late.happened.set = lambda: said.append(late.release(wait=0))  # type: ignore[method-assign]
    send(connection)
    assert header(connection) == ("getTableNames", 0)
    assert said == [False]


def test_late_reply_comes_when_an_event_is_set(server: HBaseServer, connect: Connect) -> None:
    connection, event = connect(server), threading.Event()
    late = server.misbehave("late_reply", until=event)
    send(connection)
    assert late.happened.wait(5)
    assert not unread(connection)
    event.set()
    assert header(connection) == ("getTableNames", 0)


def test_late_reply_belongs_to_the_wrong_caller(server: HBaseServer, connect: Connect) -> None:
    """The bug that fastpool prevents: happybase's next caller gets the interrupted one's row."""
    connection = connect(server)
    table = connection.table("t")
    table.put(b"mine", {b"f:q": b"mine"})
    table.put(b"yours", {b"f:q": b"yours"})
    late = server.misbehave("late_reply", "getRowWithColumns")
    send(connection, "getRowWithColumns", tableName=b"t", row=b"mine", attributes={})
    assert late.happened.wait(5)
    late.release()
    assert table.row(b"yours") == {b"f:q": b"mine"}


def test_connection_ends_instead_of_a_reply(server: HBaseServer, connect: Connect) -> None:
    connection = connect(server)
    server.misbehave("close", "getTableNames")
    with pytest.raises((TTransportException, OSError)):
        connection.tables()
    assert server.wait_connections(0)
    assert connect(server).tables() == [b"t"]


def test_only_the_method_that_was_named_goes_wrong(server: HBaseServer, connect: Connect) -> None:
    connection = connect(server)
    wrong = server.misbehave("close", "isTableEnabled")
    assert connection.tables() == [b"t"]
    assert not wrong.happened.is_set()
    assert wrong.release()
    assert connection.is_table_enabled("t")


def test_held_call_is_served_when_released(
    server: HBaseServer, connect: Connect, background: ThreadPoolExecutor
) -> None:
    connection, other = connect(server), connect(server)
    with server.hold("isTableEnabled") as hold:
        assert not hold.entered.is_set()
        call = background.submit(connection.is_table_enabled, "t")
        assert hold.entered.wait(5) and hold.held == 1
        assert other.tables() == [b"t"]
        assert server.calls["isTableEnabled"] == 1
        assert not call.done()
    assert call.result(5) is True
    assert (hold.held, other.is_table_enabled("t")) == (0, True)


def test_released_reply_has_been_sent(server: HBaseServer, connect: Connect) -> None:
    connection = connect(server)
    hold = server.hold()
    send(connection)
    assert hold.wait(1)
    assert not unread(connection)
    assert hold.release()
    assert unread(connection)


def test_drop_wakes_held_calls(server: HBaseServer, connect: Connect, background: ThreadPoolExecutor) -> None:
    connections = [connect(server), connect(server)]
    hold, late = server.hold("isTableEnabled"), server.misbehave("late_reply", "getTableNames")
    calls = [background.submit(connections[0].is_table_enabled, "t"), background.submit(connections[1].tables)]
    assert hold.wait(1) and late.happened.wait(5)
    assert server.drop_connections() == 2
    assert server.connections_open == 0
    for call in calls:
        assert isinstance(call.exception(5), (TTransportException, OSError))
    assert hold.release() and late.release()


def test_release_after_the_client_left(server: HBaseServer, connect: Connect) -> None:
    connection = connect(server)
    late, hold = server.misbehave("extra_reply_later"), server.hold("isTableEnabled")
    assert connection.tables() == [b"t"]
    send(connection, "isTableEnabled", tableName=b"t")
    assert hold.wait(1)
    connection.close()
    assert late.release() and hold.release()
    assert server.wait_connections(0)


def test_several_holds_are_all_passed(server: HBaseServer, connect: Connect) -> None:
    connection = connect(server)
    one, two = server.hold("getTableNames"), server.hold()
    send(connection)
    assert one.wait(1) and not two.wait(1, timeout=0.02)
    assert not one.release(wait=0.02)
    assert two.wait(1)
    assert not unread(connection)
    assert two.release()
    assert header(connection) == ("getTableNames", 0)


def test_restarted_server_forgets_what_it_was_told(server: HBaseServer, connect: Connect) -> None:
    server.hold()
    server.misbehave("close")
    server.stop()
    server.start()
    assert connect(server).tables() == [b"t"]


def test_bad_requests_are_refused(server: HBaseServer) -> None:
    with pytest.raises(ValueError, match=r"'kind' must be one of .*half_reply.*, not 'lie'"):
        server.misbehave("lie")
    with pytest.raises(ValueError, match="'method' must be one of HBase's Thrift methods"):
        server.hold("getRowz")
    with pytest.raises(ValueError, match="'times' must be at least 1"):
        server.misbehave("close", times=0)
    with pytest.raises(ValueError, match="'until' goes with late_reply only"):
        server.misbehave("close", until=threading.Event())
    with pytest.raises(ValueError, match="'method' must be"):
        server.slow("getRowz", 1)
    assert len(KINDS) == len(set(KINDS))


def test_client_that_reads_nothing_does_not_block_the_others(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both buffers are bounded: the kernel lets its own grow to megabytes where it saw a fast peer before."""

    def listen_bounded(host: str, port: int, backlog: int) -> socket.socket:
        listener = listen(host, port, backlog)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # those it accepts have it from the beginning
        return listener

    monkeypatch.setattr(hbase_engine, "listen", listen_bounded)
    with HBaseServer() as server:
        deaf, other = connect(server), connect(server)
        deaf.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        other.create_table("t", {"f": {}})
        other.table("t").put(b"big", {b"f:q": b"x" * 4_000_000})
        hold = server.hold("getRowWithColumns")
        send(deaf, "getRowWithColumns", tableName=b"t", row=b"big", attributes={})
        assert hold.wait(1)
        assert not hold.release(wait=0.05)
        assert other.tables() == [b"t"]
        assert server.drop_connections() == 2
