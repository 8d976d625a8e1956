"""The connection object of one slot: opening, closing, renewing, finalizers and forks."""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
import weakref
from collections.abc import Callable

import happybase
import pytest
from thriftpy2.thrift import TException
from thriftpy2.transport import TTransportException

from fastpool._errors import LeaseError
from fastpool.adapters.happybase.connection import GuardedConnection

from ._entry import FakeEntry
from ._held import Held
from ._scripted import Call, ScriptedServer, row


def test_is_a_happybase_connection(plain: Held, plain_server: ScriptedServer) -> None:
    connection = plain.connection
    assert isinstance(connection, happybase.Connection)
    assert (connection.host, connection.port) == (plain_server.host, plain_server.port)
    assert connection.transport.is_open()
    sock = connection.transport.sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.gettimeout() == 5.0


@pytest.mark.parametrize(("timeout", "limit"), [(None, None), (None, 3.0), (0, 3.0)])
def test_time_left_of_a_checkout_does_not_stay_on_the_socket(
    plain_server: ScriptedServer, timeout: int | None, limit: float | None
) -> None:
    entry = FakeEntry()
    connection = GuardedConnection(entry, **plain_server.connect, timeout=timeout)
    connection.connect(None, limit)
    assert connection.transport.sock.gettimeout() is None
    connection.end()


def test_refused(closed_port: Callable[[], int]) -> None:
    port = closed_port()
    connection = GuardedConnection(FakeEntry(), host="127.0.0.1", port=port)
    with pytest.raises(TTransportException) as caught:
        connection.connect(None, 1.0)
    assert caught.value.type == TTransportException.NOT_OPEN
    assert caught.value.message == f"Could not connect to ('127.0.0.1', {port})"
    assert isinstance(caught.value.__context__, ConnectionRefusedError)
    assert not connection.transport.is_open()


def test_connect_is_bounded_by_the_smaller_of_both_limits() -> None:
    # With a full backlog the kernel drops new connections, so a connect hangs.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        host, port = listener.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for sock in crowd:
            sock.setblocking(False)
            sock.connect_ex((host, port))
        for timeout, limit in ((50, None), (50, 60.0), (60_000, 0.05), (None, 0.05)):
            connection = GuardedConnection(FakeEntry(), host=host, port=port, timeout=timeout)
            with pytest.raises(TTransportException) as caught:
                connection.connect(None, limit)
            assert isinstance(caught.value.__cause__, TimeoutError)
        for sock in crowd:
            sock.close()


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    with listener:
        connection = GuardedConnection(FakeEntry(), host="::1", port=listener.getsockname()[1])
        connection.connect(None, 5.0)
        assert connection.transport.is_open()
        connection.end()


def test_localhost_means_ipv4_first(plain_server: ScriptedServer) -> None:
    connection = GuardedConnection(FakeEntry(), host="localhost", port=plain_server.port)
    connection.connect(None, 5.0)
    assert connection.transport.sock.family == socket.AF_INET
    connection.end()


def test_server_given_at_connect_replaces_host_and_port(plain_server: ScriptedServer) -> None:
    connection = GuardedConnection(FakeEntry(), host="nowhere.invalid", port=1)
    connection.connect((plain_server.host, plain_server.port), 5.0)
    assert (connection.host, connection.port) == (plain_server.host, plain_server.port)
    connection.end()


def test_user_closes_and_opens_again(held: Held, server: ScriptedServer) -> None:
    old = held.connection.client
    held.connection.close()
    held.connection.close()
    assert held.entry.tainted
    with pytest.raises(TTransportException):
        held.row()
    with pytest.raises(TTransportException):
        held.connection.transport.open()  # its buffers may hold half a reply
    held.connection.open()
    assert held.connection.client is not old
    assert held.entry.fit
    assert held.row(b"a") == row(b"a")
    assert old.getTableNames() == [b"t"]  # a reference kept from before refers to the new connection
    assert server.connections(2) == 2


def test_refresh_and_open_as_happybases_pool_did(held: Held) -> None:
    held.connection._refresh_thrift_client()
    assert not held.connection.transport.is_open()
    assert held.entry.tainted
    held.connection.open()
    assert held.entry.fit
    assert held.row(b"a") == row(b"a")


def test_outer_block_goes_on_after_the_inner_one_broke_it(held: Held, server: ScriptedServer) -> None:
    table = held.connection.table("t")
    client = held.connection.client
    for i in range(3):
        held.connection.transport.close()
        held.entry.inner_block_ends()
        assert held.entry.renew
        assert table.row(b"%d" % i) == row(b"%d" % i)
        assert held.entry.fit
        assert not held.entry.renew
    assert client.getTableNames() == [b"t"]
    assert held.entry.renewals == 3
    assert server.connections(4) == 4


def test_outer_block_never_reads_what_the_inner_one_left(plain: Held, plain_server: ScriptedServer) -> None:
    connection = plain.connection
    plain_server.script = lambda call: call.stream.send(call.stream.good(call)[:-3])
    connection.transport.sock.settimeout(0.05)
    with pytest.raises(TimeoutError):
        plain.row(b"inner")
    plain_server.script = None
    plain.entry.inner_block_ends()
    assert plain.row(b"outer") == row(b"outer")


def test_failed_renewal_leaves_the_connection_to_be_renewed(plain: Held, closed_port: Callable[[], int]) -> None:
    connection, port = plain.connection, plain.connection.port
    connection.transport.close()
    plain.entry.inner_block_ends()
    connection.port = closed_port()
    for _ in range(2):
        with pytest.raises(TTransportException, match="Could not connect"):
            plain.row()
        assert plain.entry.tainted
        assert plain.entry.renew
        assert not plain.entry.busy
    connection.port = port
    assert plain.row(b"a") == row(b"a")
    assert plain.entry.fit


def test_taken_out_of_the_pool_under_a_call(plain: Held, plain_server: ScriptedServer) -> None:
    arrived = threading.Event()

    def silent(call: Call) -> None:
        arrived.set()

    plain_server.script = silent
    errors: list[BaseException] = []

    def use() -> None:
        try:
            plain.row()
        except TException as error:
            errors.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    assert arrived.wait(5)
    client = plain.connection.client
    plain.connection.end()
    plain.entry.replaced()
    thread.join(5)
    assert len(errors) == 1
    assert client.fileno() == -1
    # The slot may belong to another caller by now: the call that was cut off must not mark it as unfit.
    assert plain.entry.fit


def test_logs_as_happybase_does(plain_server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    held = Held(plain_server)
    held.connection.transport.close()
    held.entry.inner_block_ends()
    held.row()
    held.connection.close()
    held.end()
    where = f"{plain_server.host}:{plain_server.port}"
    assert [r[:] for r in caplog.record_tuples if r[0] in ("happybase.connection", "happybase.pool")] == [
        ("happybase.connection", logging.DEBUG, f"Opening Thrift transport to {where}"),
        ("happybase.pool", logging.INFO, "Replacing tainted pool connection"),
        ("happybase.connection", logging.DEBUG, f"Opening Thrift transport to {where}"),
        ("happybase.connection", logging.DEBUG, f"Closing Thrift transport to {where}"),
    ]


def test_finalizer_closes_without_a_word(plain_server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    held = Held(plain_server)
    fd = held.connection.transport.sock.fileno()
    gone = weakref.ref(held.connection)
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    del held
    gc.collect()
    assert gone() is None
    assert caplog.records == []
    with pytest.raises(OSError):
        os.fstat(fd)


def test_finalizer_after_a_failed_constructor() -> None:
    with pytest.raises(ValueError, match="'compat' must be one of"):
        GuardedConnection(FakeEntry(), compat="0.1")
    gc.collect()  # pytest would report an exception in __del__ as an error


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("leave", ["abandon", "close", "end", "del", "exit"])
def test_child_leaves_the_parents_connection_alone(plain: Held, leave: str) -> None:
    pid = os.fork()
    if pid == 0:
        connection = plain.connection
        if leave == "abandon":
            connection.abandon()
            assert connection.client.fileno() == -1
        elif leave == "close":
            connection.close()
        elif leave == "end":
            connection.end()
        elif leave == "del":
            connection.__del__()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert plain.row(b"a") == row(b"a")
    assert plain.entry.fit


def test_use_without_a_lease_is_refused(plain: Held) -> None:
    plain.entry.give_back()
    for use in (plain.connection.open, plain.connection.close, plain.connection.tables):
        if use != plain.connection.open:
            with pytest.raises(LeaseError):
                use()
    plain.connection.end()
    with pytest.raises(LeaseError):
        plain.connection.open()
    with pytest.raises(LeaseError):
        plain.connection.tables()
    plain.entry.lease()
