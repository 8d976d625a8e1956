"""The proxy does to connections what it was asked for, and nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from fastpool.testing import FaultProxy, HBaseServer

from .conftest import Connect

REPLY = b"0123456789"


class Echo:
    """A server that answers each byte it gets with REPLY, and counts the connections that ended."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self.ended = threading.Semaphore(0)
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._answer, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _answer(self, sock: socket.socket) -> None:
        with sock:
            try:
                while data := sock.recv(65536):
                    sock.sendall(REPLY * len(data))
            except OSError:
                pass
        self.ended.release()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as echo:
        yield echo


@pytest.fixture
def faults(echo: Echo) -> Iterator[FaultProxy]:
    """A proxy before `echo`."""
    with FaultProxy(echo) as proxy:
        yield proxy


@pytest.fixture
def dial(faults: FaultProxy) -> Iterator[Callable[[], socket.socket]]:
    """Connect to the proxy; all sockets are closed after the test."""
    made: list[socket.socket] = []

    def dial() -> socket.socket:
        made.append(socket.create_connection((faults.host, faults.port), 5))
        return made[-1]

    yield dial
    for sock in made:
        sock.close()


def ask(sock: socket.socket) -> bytes:
    sock.sendall(b"?")
    return answer(sock)


def answer(sock: socket.socket) -> bytes:
    """Read a whole reply, or up to the end."""
    found = b""
    while len(found) < len(REPLY) and (data := sock.recv(len(REPLY) - len(found))):
        found += data
    return found


def silent(sock: socket.socket) -> bool:
    """Whether no data arrives for a moment."""
    sock.settimeout(0.05)
    try:
        sock.recv(1)
        return False
    except TimeoutError:
        return True
    finally:
        sock.settimeout(5)


def test_passes_everything_on(server: HBaseServer, proxy: FaultProxy, connect: Connect) -> None:
    connection = connect(proxy)
    data = {b"f:%d" % number: bytes([number]) * 300_000 for number in range(10)}
    connection.table("t").put(b"r", data)
    assert connection.table("t").row(b"r") == data
    assert (proxy.connections_opened, proxy.connections_open) == (1, 1)
    connection.close()
    assert proxy.wait_connections(0) and server.wait_connections(0)
    assert (proxy.connections_opened, proxy.connections_open) == (1, 0)


def test_refuse_refuses_new_ones_and_keeps_the_port(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    old, port = dial(), faults.port
    assert ask(old) == REPLY
    faults.refuse()
    faults.refuse()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            dial()
    assert ask(old) == REPLY
    with socket.socket() as other, pytest.raises(OSError):
        other.bind((faults.host, port))
    faults.heal()
    assert faults.port == port
    assert ask(dial()) == REPLY


def test_hang_accepts_and_says_nothing(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    old = dial()
    assert ask(old) == REPLY
    faults.hang()
    new = dial()
    for sock in (old, new):
        sock.sendall(b"?")
        assert silent(sock)
    assert faults.wait_connections(2)
    faults.heal()
    assert (answer(old), answer(new)) == (REPLY, REPLY)


def test_reset_resets_present_and_new_ones(echo: Echo, faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    old = dial()
    assert ask(old) == REPLY
    faults.reset()
    with pytest.raises(ConnectionResetError):
        old.recv(1)
    assert echo.ended.acquire(timeout=5)
    with pytest.raises(ConnectionResetError):
        dial().recv(1)
    assert (faults.connections_opened, faults.connections_open) == (2, 0)
    faults.heal()
    assert ask(dial()) == REPLY


def test_half_close_ends_replies_only(echo: Echo, faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    sock = dial()
    assert ask(sock) == REPLY
    faults.half_close()
    assert sock.recv(1) == b""
    sock.sendall(b"?" * 100)
    assert sock.recv(1) == b""
    assert faults.connections_open == 1
    assert ask(dial()) == REPLY
    sock.close()
    assert echo.ended.acquire(timeout=5)
    assert faults.wait_connections(1)


def test_dribble_gives_byte_by_byte(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    faults.dribble(0.05)
    sock = dial()
    pieces: list[bytes] = []
    for _ in range(20):
        begin, pieces = time.monotonic(), []
        sock.sendall(b"?")
        while len(b"".join(pieces)) < len(REPLY):
            pieces.append(sock.recv(100))
        assert b"".join(pieces) == REPLY
        assert time.monotonic() - begin >= 0.05 * (len(REPLY) - 1)
        if len(pieces) > 1:  # a client that was delayed meanwhile gets it in one piece
            break
    assert len(pieces) > 1
    faults.heal()
    assert ask(sock) == REPLY


def test_delay_keeps_order_and_delays(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    faults.delay(0.1)
    sock = dial()
    begin = time.monotonic()
    assert ask(sock) == REPLY
    assert time.monotonic() - begin >= 0.1
    faults.delay(3600)
    held = faults.hold_replies()
    sock.sendall(b"?")
    assert held.entered.wait(5)
    faults.heal()
    assert ask(sock) + answer(sock) == REPLY + REPLY


@pytest.mark.parametrize("count", [0, 1, 9, 10, 13])
def test_cut_after_so_many_bytes(faults: FaultProxy, dial: Callable[[], socket.socket], count: int) -> None:
    old = dial()
    assert ask(old) == REPLY
    faults.cut_after(count)
    for sock in (old, dial()):
        found = b""
        while len(found) < count:
            found += ask(sock)
        assert found == (REPLY * 2)[:count]
        if count == 0:
            sock.sendall(b"?")
        assert sock.recv(1) == b""
    assert faults.wait_connections(0)
    faults.heal()
    assert ask(dial()) == REPLY


def test_held_replies_come_when_released(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    one, two = dial(), dial()
    held = faults.hold_replies()
    assert not held.entered.is_set()
    one.sendall(b"?")
    two.sendall(b"?")
    assert held.entered.wait(5)
    assert silent(one)
    held.release()
    assert (answer(one), answer(two)) == (REPLY, REPLY)
    with faults.late_reply() as late:
        one.sendall(b"?")
        assert late.entered.wait(5)
    one.setblocking(False)
    assert one.recv(100) == REPLY


def test_late_reply_for_a_client_that_left(echo: Echo, faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    held = faults.hold_replies()
    sock = dial()
    sock.sendall(b"?")
    assert held.entered.wait(5)
    sock.close()
    assert echo.ended.acquire(timeout=5)
    held.release()
    assert faults.wait_connections(0)


def test_server_gone_and_back_on_the_same_port(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    old = dial()
    assert ask(old) == REPLY
    faults.server_gone()
    assert old.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        dial()
    assert faults.connections_open == 0
    faults.server_back()
    assert ask(dial()) == REPLY


def test_drop_ends_present_ones_only(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    old = [dial(), dial()]
    assert faults.drop_connections() == 2
    assert [sock.recv(1) for sock in old] == [b"", b""]
    assert ask(dial()) == REPLY


def test_faults_add_up(faults: FaultProxy, dial: Callable[[], socket.socket]) -> None:
    faults.cut_after(3)
    held = faults.hold_replies()
    sock = dial()
    sock.sendall(b"?")
    assert held.entered.wait(5)
    held.release()
    assert answer(sock) == REPLY[:3]


def test_server_that_is_not_there_resets_the_client() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with FaultProxy(nobody.getsockname()) as proxy:
            with pytest.raises(ConnectionResetError), socket.create_connection((proxy.host, proxy.port), 5) as sock:
                sock.recv(1)
            assert proxy.wait_connections(0)


def test_server_that_moved_is_found(proxy: FaultProxy, server: HBaseServer, connect: Connect) -> None:
    connection = connect(proxy)
    assert connection.tables() == [b"t"]
    server.stop()
    server.port = 0
    server.start()
    assert connect(proxy).tables() == [b"t"]


def test_client_that_reads_slowly_gets_all(echo: Echo, background: ThreadPoolExecutor) -> None:
    """The reply is larger than all buffers: nothing is lost, and the proxy buffers no more than its limit."""
    body = bytes(range(256)) * 40_000
    with socket.create_server(("127.0.0.1", 0)) as listener, FaultProxy(listener.getsockname()) as proxy:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(body)

        serving = background.submit(serve)
        with socket.create_connection((proxy.host, proxy.port), 5) as sock:
            found = bytearray()
            while data := sock.recv(10_000):
                found += data
        serving.result(5)
    assert found == body


def test_close_ends_everything_and_may_be_repeated(echo: Echo) -> None:
    proxy = FaultProxy((echo.host, echo.port)).start()
    port = proxy.port
    with socket.create_connection((proxy.host, port), 5) as sock:
        assert ask(sock) == REPLY
        proxy.hang()
        proxy.close()
        assert sock.recv(1) == b""
    proxy.close()
    assert echo.ended.acquire(timeout=5)
    with pytest.raises(RuntimeError, match="is not running: use it as a context manager"):
        proxy.reset()
    with proxy:
        assert proxy.port == port
        with socket.create_connection((proxy.host, port), 5) as sock:
            assert ask(sock) == REPLY
        with pytest.raises(RuntimeError, match="is running already"):
            proxy.start()


def test_bad_arguments_are_named(faults: FaultProxy) -> None:
    for server in ("localhost:9090", ("localhost", "9090"), None):
        with pytest.raises(TypeError, match="'server' must have a host and a port"):
            FaultProxy(server)
    with pytest.raises(ValueError, match="'delay' must be at least 0 s"):
        faults.delay(-1)
    with pytest.raises(TypeError, match="'interval' must be a number"):
        faults.dribble("x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'count' must be at least 0"):
        faults.cut_after(-1)
    assert f"{faults.port} → ('127.0.0.1', " in repr(faults)
