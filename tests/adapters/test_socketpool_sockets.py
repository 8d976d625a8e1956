"""The drop-in for socketpool on real sockets: TcpConnector, UnixConnector, peers that hang up, the backends."""

from __future__ import annotations

import importlib.util
import socket
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastpool
from fastpool.adapters.socketpool import ConnectionPool, MaxConnectionsError, TcpConnector, UnixConnector, util
from tests.pool.fake_driver import PATIENCE, until
from tests.process._scripts import run, run_case

from ._echo import Echo

CASES = Path(__file__).parent / "_socketpool_green.py"


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@pytest.fixture
def pool(echo: Echo) -> Iterator[ConnectionPool]:
    with ConnectionPool(TcpConnector, options=echo.options) as pool:
        yield pool


def test_tcp(pool: ConnectionPool, echo: Echo) -> None:
    for _ in range(3):
        with pool.connection() as c:
            c.send(b"hello")
            assert c.recv() == b"hello"
    assert (c.host, c.port, len(echo.accepted)) == (echo.host, echo.port, 1)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
def test_unix(tmp_path: Path) -> None:
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    with Echo(a) as first, Echo(b), ConnectionPool(UnixConnector) as pool:
        with pool.connection(socket_file=a) as c:
            c.sendall(b"hello")
            assert c.recv() == b"hello"
        with pool.connection(socket_file=b) as other:
            assert other is not c and not other.matches(socket_file=a)
        with pool.connection(socket_file=a) as again:
            assert again is c and len(first.accepted) == 1


def test_several_hosts_in_one_pool(echo: Echo) -> None:
    with Echo() as second, ConnectionPool(TcpConnector) as pool:
        for _ in range(3):
            for server in (echo, second):
                with pool.connection(**server.options) as c:
                    assert c.port == server.port
        assert until(lambda: echo.accepted and second.accepted)
        assert (len(echo.accepted), len(second.accepted), pool.size) == (1, 1, 2)


def test_a_peer_that_has_closed_does_not_count_as_alive(pool: ConnectionPool, echo: Echo) -> None:
    """socketpool hands it out: its look at the socket takes the end of the stream for data."""
    c = pool.get()
    pool.release_connection(c)
    until(lambda: echo.accepted)
    echo.hang_up(0)
    assert not c.is_connected()
    other = pool.get()
    other.sendall(b"hello")
    assert other is not c and other.recv() == b"hello"
    assert pool.stats().closed["dead"] == 1


def test_what_nobody_asked_for_reaches_nobody(pool: ConnectionPool, echo: Echo) -> None:
    with pool.connection() as c:
        c.sendall(b"a question")
        assert c.recv(3) == b"a q"  # and the rest of the answer stays there
    with pool.connection() as other:
        assert other is not c
        other.sendall(b"mine")
        assert other.recv() == b"mine"
    assert pool.stats().closed["desync"] == 1


def test_a_call_that_was_interrupted_costs_the_connection(pool: ConnectionPool, echo: Echo) -> None:
    """Its answer may come later, and would be the next caller's."""
    with pool.connection() as c:
        c._s.settimeout(0.01)
        with pytest.raises(TimeoutError):
            c.recv()
    assert pool.get() is not c


def test_a_part_of_a_line_costs_the_connection(pool: ConnectionPool, echo: Echo) -> None:
    with pool.connection() as c:
        c.sendall(b"one\ntwo\nthree")
        assert (c.readline(), c.recv(4), c.read(2)) == (b"one\n", b"two\n", b"th")
    assert pool.get() is not c


def test_lines_and_sizes(pool: ConnectionPool, echo: Echo) -> None:
    with pool.connection() as c:
        c.sendall(b"one\ntwo\nthree")
        assert (c.readline(), c.readline(), c.read(5)) == (b"one\n", b"two\n", b"three")
        c.sendall(b"end")
        echo.accepted[0].shutdown(socket.SHUT_WR)
        assert b"end".startswith(c.read()) and c.readline() == b"" and c.recv() == b""
    assert pool.get() is not c


def test_closed_by_its_holder(pool: ConnectionPool) -> None:
    with pool.connection() as c:
        c.invalidate()
    assert (pool.size, len(pool), c.fileno()) == (0, 0, -1)


def test_release_returns_it(pool: ConnectionPool) -> None:
    c = pool.get()
    c.release()
    assert pool.size == 1
    with pytest.raises(fastpool.LeaseError):
        c.release()


def test_the_exception_of_a_block_is_logged(pool: ConnectionPool, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="mine"), pool.connection():
        raise ValueError("mine")
    assert [record.name for record in caplog.records] == ["socketpool"]
    assert "ValueError: mine" in caplog.text


def test_a_connector_without_a_pool(echo: Echo) -> None:
    c = TcpConnector(echo.host, echo.port)
    c.sendall(b"hello")
    assert c.recv() == b"hello" and c.is_connected()
    c.release()
    assert c.is_connected()
    c.invalidate()
    assert not c.is_connected()


def test_a_connector_that_is_dropped_closes_its_socket(echo: Echo) -> None:
    c = TcpConnector(echo.host, echo.port)
    sock = c._s
    del c
    assert until(lambda: sock.fileno() == -1)


def test_a_server_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    with ConnectionPool(TcpConnector, retry_delay=0.001) as pool:
        with pytest.raises(ConnectionRefusedError):
            pool.get(host=host, port=port)
        assert len(pool) == 0


def test_a_server_that_hangs_takes_no_longer_than_the_checkout_has() -> None:
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    address = full.getsockname()
    fillers = [socket.socket() for _ in range(4)]
    for one in fillers:
        one.setblocking(False)
        one.connect_ex(address)
    with full, ConnectionPool(TcpConnector, timeout=0.2, retry_max=1) as pool:
        began = time.monotonic()
        with pytest.raises(MaxConnectionsError):
            pool.get(host=address[0], port=address[1])
        assert time.monotonic() - began < PATIENCE
    for one in fillers:
        one.close()


def test_is_connected_reads_nothing(echo: Echo) -> None:
    near, far = socket.socketpair()
    with near, far:
        assert util.is_connected(near)
        far.send(b"data")
        assert util.is_connected(near) and near.recv(10) == b"data"
        far.send(b"last")
        far.shutdown(socket.SHUT_WR)
        assert util.is_connected(near) and near.recv(10) == b"last"
        assert not util.is_connected(near)
    assert not util.is_connected(near)


def test_threads_and_hosts_at_once(echo: Echo) -> None:
    faults: list[str] = []
    with Echo() as second, ConnectionPool(TcpConnector, max_size=3) as pool:

        def work(number: int) -> None:
            for turn in range(50):
                server = (echo, second)[(number + turn) % 2]
                with pool.connection(**server.options) as c:
                    c.sendall(b"%d.%d" % (number, turn))
                    if c.port != server.port or c.recv() != b"%d.%d" % (number, turn) or len(pool) > 3:
                        faults.append(f"{number}.{turn}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert faults == [] and not any(thread.is_alive() for thread in threads)
        assert pool.stats().leased == 0 and len(pool) <= 3


# ---- backends


BACKENDS = """
from fastpool.adapters import socketpool
from fastpool.adapters.socketpool import ConnectionPool, TcpConnector

for name in ("thread", "gevent", "eventlet"):
    module = getattr(socketpool, f"backend_{name}")
    with ConnectionPool(TcpConnector, backend=name) as by_name, ConnectionPool(TcpConnector, backend=module) as as_one:
        assert (by_name.backend, by_name.backend_mod) == (name, module)
        assert (as_one.backend, as_one.backend_mod) == (module.__name__, module)
        assert all(hasattr(module, part) for part in ("Socket", "Select", "Semaphore", "sleep", "PriorityQueue"))
"""


def needs_green() -> None:
    """Skip without importing either: eventlet warns of every later fork of a process that has imported it."""
    for library in ("gevent", "eventlet"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")


def test_backends_by_name_and_as_module() -> None:
    needs_green()
    run(BACKENDS)


def test_a_backend_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """As socketpool wants one: its reaper has no stop()."""
    started: list[float] = []

    class ConnectionReaper:
        def __init__(self, pool: object, delay: float) -> None:
            self.delay = delay

        def ensure_started(self) -> None:
            started.append(self.delay)

    module = types.ModuleType("their.backend")
    module.ConnectionReaper, module.sleep = ConnectionReaper, time.sleep  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their", types.ModuleType("their"))
    monkeypatch.setitem(sys.modules, "their.backend", module)
    with ConnectionPool(TcpConnector, backend="their.backend", reap_delay=5) as pool:
        assert (pool.backend, pool.backend_mod, started) == ("their.backend", module, [5])
        pool.stop_reaper()


@pytest.mark.parametrize("model", ["threads", "gevent", "gevent patched", "eventlet", "eventlet patched"])
def test_any_backend_in_any_concurrency_model(model: str) -> None:
    needs_green()
    run_case(CASES, model)
