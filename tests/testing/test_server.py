"""Start and stop of the server, its counters and its limits."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from thriftpy2.transport import TTransportException

from fastpool.testing import HBaseServer

from .conftest import Connect

BOTH = pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])


def ended(sock: socket.socket) -> bool:
    """Whether the peer ended the connection; waits for that, and fails at a time limit."""
    sock.settimeout(5)
    return sock.recv(1) == b""


@BOTH
def test_counters(process: bool, connect: Connect) -> None:
    with HBaseServer(process=process) as server:
        assert (server.connections_opened, server.connections_open, server.calls) == (0, 0, {})
        first, second = connect(server), connect(server)
        first.tables(), second.tables(), second.create_table("t", {"f": {}})
        assert (server.connections_opened, server.connections_open) == (2, 2)
        assert server.calls == {"getTableNames": 2, "createTable": 1}
        first.close()
        assert server.wait_connections(1)
        assert (server.connections_opened, server.connections_open) == (2, 1)
        assert not server.wait_connections(5, timeout=0.01)


@BOTH
def test_drop_ends_all_connections_and_serves_new_ones(process: bool, connect: Connect) -> None:
    with HBaseServer(process=process) as server:
        old = connect(server)
        old.tables()
        connect(server)
        assert server.wait_connections(2)
        assert server.drop_connections() == 2
        assert server.connections_open == 0
        assert ended(old.transport.sock)
        assert connect(server).tables() == []
        old.close()
        assert server.drop_connections(reset=True) == 1


def test_drop_with_reset_resets(server: HBaseServer, connect: Connect) -> None:
    connection = connect(server)
    connection.tables()
    server.drop_connections(reset=True)
    with pytest.raises(ConnectionResetError):
        connection.transport.sock.recv(1)


@BOTH
def test_port_is_taken_again_after_a_stop(process: bool, connect: Connect) -> None:
    server = HBaseServer(process=process)
    with server:
        port = server.port
        connection = connect(server)
        connection.create_table("t", {"f": {}})
    with pytest.raises(TTransportException):
        connect(server)
    assert ended(connection.transport.sock)
    server.stop()
    with server:
        assert server.port == port
        assert connect(server).tables() == ([] if process else [b"t"])


@BOTH
def test_taken_port_is_an_os_error(process: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = HBaseServer(port=taken.getsockname()[1], process=process)
        with pytest.raises(OSError) as raised:
            server.start()
        assert raised.value.errno == errno.EADDRINUSE
    with server:
        pass


@BOTH
def test_silent_connection_is_hung_up_on(process: bool, connect: Connect) -> None:
    with HBaseServer(process=process, read_timeout=1) as server:
        connection = connect(server)
        assert connection.tables() == []
        assert ended(connection.transport.sock)
        assert server.wait_connections(0)
        with pytest.raises((TTransportException, OSError)):
            connection.tables()


def test_connection_beyond_the_workers_is_served_when_another_ends(
    connect: Connect, background: ThreadPoolExecutor
) -> None:
    with HBaseServer(max_workers=2) as server:
        first, second, third = (connect(server) for _ in range(3))
        assert server.wait_connections(3)
        hold = server.hold("getTableNames")
        waiting = [background.submit(connection.tables) for connection in (first, second, third)]
        assert hold.wait(2)
        assert not hold.wait(3, timeout=0.05)
        hold.release()
        assert [waiting[0].result(5), waiting[1].result(5)] == [[], []]
        assert not waiting[2].done()
        first.close()
        assert waiting[2].result(5) == []
        assert server.wait_connections(2)


def test_unserved_connection_is_dropped_like_the_others(connect: Connect) -> None:
    with HBaseServer(max_workers=1) as server:
        first, second = connect(server), connect(server)
        first.tables()
        assert server.wait_connections(2)
        assert server.drop_connections() == 2
        assert ended(first.transport.sock) and ended(second.transport.sock)
        assert server.connections_open == 0


def took(call: Any) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


@BOTH
def test_replies_take_as_long_as_asked(process: bool, connect: Connect) -> None:
    with HBaseServer(process=process, delay=0.05) as server:
        connection = connect(server)
        connection.create_table("t", {"f": {}})
        table = connection.table("t")
        assert took(connection.tables) >= 0.05
        server.delay = 0
        server.slow("getRowWithColumns", 0.15)
        assert took(lambda: table.row(b"r")) >= 0.15
        server.slow("getRowWithColumns", 0)
        assert server.delay == 0
        assert any(took(lambda: table.row(b"r")) < 0.05 for _ in range(50)), "at its best: the machine may be busy"


def test_stop_does_not_wait_for_slow_or_held_calls(connect: Connect, background: ThreadPoolExecutor) -> None:
    server = HBaseServer().start()
    server.slow("getTableRegions", 60)
    connections = [connect(server) for _ in range(3)]
    hold, late = server.hold("isTableEnabled"), server.misbehave("late_reply", "getTableNames", until=threading.Event())
    calls = [
        background.submit(connections[0].table("t").regions),
        background.submit(connections[1].is_table_enabled, "t"),
        background.submit(connections[2].tables),
    ]
    assert hold.wait(1) and late.happened.wait(5)
    assert took(server.stop) < 5
    for call in calls:
        assert isinstance(call.exception(5), (TTransportException, OSError))
    assert server.connections_open == 0


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", b"\x82\x21\x00\x01x", b"\x80\x01\x00\x01" + b"\xff" * 4, b"\x00\x00\x00\x05ab"]
)
def test_noise_costs_its_own_connection_only(server: HBaseServer, connect: Connect, noise: bytes) -> None:
    connection = connect(server)
    with socket.create_connection((server.host, server.port)) as sock:
        sock.sendall(noise)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(5)
        try:
            assert sock.recv(100) == b""
        except ConnectionResetError:
            pass
    assert server.wait_connections(1)
    assert connection.tables() == [b"t"]


def test_unknown_method_is_answered(server: HBaseServer, connect: Connect) -> None:
    from thriftpy2.thrift import TApplicationException, TMessageType

    connection = connect(server)
    protocol = connection.client._oprot
    protocol.write_message_begin("nonsense", TMessageType.CALL, 5)
    protocol.write_struct(TApplicationException(message="any struct"))
    protocol.write_message_end()
    protocol.trans.flush()
    name, kind, seqid = protocol.read_message_begin()
    failure = TApplicationException()
    protocol.read_struct(failure)
    assert (name, kind, seqid) == ("nonsense", TMessageType.EXCEPTION, 5)
    assert (failure.type, failure.message) == (TApplicationException.UNKNOWN_METHOD, b"Invalid method name: 'nonsense'")
    assert connection.tables() == [b"t"]


def test_process_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env={**_environment()}, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.send_signal(signal.SIGKILL)
    assert parent.wait(10) == -signal.SIGKILL
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server's process outlived its parent"
        time.sleep(0.02)


PARENT = textwrap.dedent(
    """
    import time
    from fastpool.testing import HBaseServer
    server = HBaseServer(process=True).start()
    print(server._child.pid, flush=True)
    time.sleep(60)
    """
)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_process_that_died_is_named(connect: Connect) -> None:
    server = HBaseServer(process=True).start()
    try:
        assert server._child is not None
        psutil.Process(server._child.pid).kill()
        with pytest.raises(RuntimeError, match=r"The HBaseServer process \d+ (ended with code|is gone)"):
            while True:
                server.connections_open
    finally:
        server.stop()


def test_what_needs_the_server_in_this_process_says_so() -> None:
    server = HBaseServer(process=True)
    for act in (server.hold, lambda: server.misbehave("close"), lambda: server.open_scanners):
        with pytest.raises(RuntimeError, match="leave out process=True"):
            act()
    with pytest.raises(RuntimeError, match=r"is not running: call start\(\)"):
        server.connections_open
    with pytest.raises(RuntimeError, match="was not started yet"):
        HBaseServer().drop_connections()
    with HBaseServer() as running, pytest.raises(RuntimeError, match="is running already"):
        running.start()


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"host": 1}, TypeError),
        ({"port": "1"}, TypeError),
        ({"port": 65536}, ValueError),
        ({"protocol": "json"}, ValueError),
        ({"transport": "http"}, ValueError),
        ({"delay": -1}, ValueError),
        ({"delay": "1"}, TypeError),
        ({"delay": float("nan")}, ValueError),
        ({"max_workers": 0}, ValueError),
        ({"max_workers": 1.5}, TypeError),
        ({"read_timeout": 0}, ValueError),
        ({"read_timeout": True}, TypeError),
    ],
)
def test_bad_argument_is_named(arguments: dict[str, Any], kind: type[Exception]) -> None:
    [(name, value)] = arguments.items()
    with pytest.raises(kind, match=f"'{name}'") as raised:
        HBaseServer(**arguments)
    assert str(value) in str(raised.value)


def test_repr_says_where_and_whether() -> None:
    server = HBaseServer(transport="framed")
    assert repr(server) == "<HBaseServer 127.0.0.1:0 binary framed stopped>"
    with server:
        assert repr(server) == f"<HBaseServer 127.0.0.1:{server.port} binary framed running>"
