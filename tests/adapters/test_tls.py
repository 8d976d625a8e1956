"""The drop-in over TLS, as a pool: tickets, the server's goodbye, half a record, certificates, time limits.

The guard's own tests (test_guard.py and others) run over TLS, too: see the fixture `server`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.testing import HBaseServer
from tests.concurrency._told import eventually

from ._fronts import Relay
from ._scripted import Call, row
from ._settle import child_and_parent_ask
from ._tls import HOST, Authority, End, TlsServer

WITHIN_S = 20


@pytest.fixture
def server() -> Iterator[TlsServer]:
    server = TlsServer()
    yield server
    server.close()


def pool_to(server: TlsServer, size: int = 1, **options: Any) -> fastpool.ConnectionPool:
    """A pool that looks at a connection whenever it hands it out."""
    return fastpool.ConnectionPool(size, **{"timeout": 10_000, "check_after": 0, **server.connect, **options})


def ask(pool: fastpool.ConnectionPool, key: bytes = b"k") -> None:
    with pool.connection(timeout=WITHIN_S) as c:
        assert c.table("t").row(key) == row(key)


def end_of(server: TlsServer, number: int = 0) -> End:
    """The server's end of its connection of this number, once it is there."""
    assert server.connections(number + 1) > number
    end: End = server.accepted[number].sock  # type: ignore[assignment]
    return end


def closed(pool: fastpool.ConnectionPool) -> dict[str, int]:
    return {reason: count for reason, count in pool.stats().closed.items() if count}


def test_a_real_table(hbase: HBaseServer) -> None:
    authority = Authority()
    with Relay(hbase, context=authority.mine) as front:
        with fastpool.ConnectionPool(2, host=HOST, port=front.port, ssl_context=authority.trusting()) as pool:
            with pool.connection() as c:
                c.create_table("t", {"f": {}})
                with c.table("t").batch() as batch:
                    for number in range(500):
                        batch.put(b"%03d" % number, {b"f:a": b"x" * 200})
                assert len(list(c.table("t").scan(batch_size=100))) == 500
            assert pool.stats().connects == 1 and closed(pool) == {}


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tickets_cost_nothing(version: str) -> None:
    """They come behind the handshake of TLS 1.3, and stay unread in a connection on which nobody calls."""
    server = TlsServer()
    only = ssl.TLSVersion[version]
    options = {**server.connect, "ssl_context": server.authority.trusting(minimum_version=only, maximum_version=only)}
    try:
        with pool_to(server, 2, **options) as pool:
            assert pool.warm() == 2
            for _ in range(3):
                with pool.connection() as c:
                    assert c.transport.is_open()  # and nothing is called
            for _ in range(3):
                ask(pool)
            assert pool.stats().connects == 2 and closed(pool) == {}
    finally:
        server.close()


class Torn(End):
    """Keeps back the end of the tickets."""

    rest = b""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.was_torn = threading.Event()

    def flush(self) -> None:
        data = self._outgoing.read()
        tickets = data[:1] == b"\x17" and not self.rest  # what comes in records of data once the handshake is over
        if tickets:
            data, self.rest = data[:-10], data[-10:]
        self.raw.sendall(data)
        if tickets:
            self.was_torn.set()


def test_half_a_ticket_costs_nothing(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "end_of", lambda sock: Torn(sock, server.authority.mine))
    with pool_to(server) as pool:
        torn = end_of(server)
        assert isinstance(torn, Torn) and torn.was_torn.wait(WITHIN_S)
        for _ in range(2):
            with pool.connection():
                pass
        torn.raw.sendall(torn.rest)
        ask(pool)
        assert pool.stats().connects == 1


def test_half_a_ticket_costs_tasks_nothing_either(server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    aio = pytest.importorskip("fastpool.aio", reason="needs aiohappybase", exc_type=ImportError)
    monkeypatch.setattr(server, "end_of", lambda sock: Torn(sock, server.authority.mine))

    async def main() -> None:
        async with aio.ConnectionPool(1, check_after=0, timeout=10_000, **server.connect) as pool:
            await pool.warm()
            torn = end_of(server)
            assert isinstance(torn, Torn) and await asyncio.to_thread(torn.was_torn.wait, WITHIN_S)
            for _ in range(2):
                async with pool.connection():
                    pass
            torn.raw.sendall(torn.rest)
            async with pool.connection() as c:
                assert await c.table("t").row(b"k") == row(b"k")
            assert pool.stats().connects == 1

    asyncio.run(main())


# ---- what makes an idle connection unfit


def says_goodbye(end: End) -> None:
    end.say_goodbye()


def hangs_up(end: End) -> None:
    end.shutdown(socket.SHUT_RDWR)


def sends_half_a_record(end: End) -> None:
    end.raw.sendall(end.encrypted(b"a late reply")[:-5])


def sends_a_part_of_a_header(end: End) -> None:
    end.raw.sendall(end.encrypted(b"a late reply")[:3])


def sends_a_record(end: End) -> None:
    end.sendall(b"a late reply")


def sends_no_tls(end: End) -> None:
    end.raw.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")


UNFIT = [says_goodbye, hangs_up, sends_half_a_record, sends_a_part_of_a_header, sends_a_record, sends_no_tls]


@pytest.mark.parametrize("happens", UNFIT)
def test_an_idle_connection_that_is_unfit_is_replaced_before_the_block(server: TlsServer, happens: Any) -> None:
    with pool_to(server) as pool:
        ask(pool, b"before")
        happens(end_of(server))
        with pool.connection(timeout=0) as c:
            sock = c.transport.sock  # whether it is the old one or a new one, look at what has come
            if pool.stats().connects == 1:
                sock.settimeout(WITHIN_S)
                sock.recv(1, socket.MSG_PEEK)
        ask(pool, b"after")
        assert pool.stats().connects == 2 and closed(pool) == {"dead": 1}


@pytest.mark.parametrize("happens", UNFIT)
def test_of_tasks_too(server: TlsServer, happens: Any) -> None:
    aio = pytest.importorskip("fastpool.aio", reason="needs aiohappybase", exc_type=ImportError)

    async def ask_for(pool: Any, key: bytes) -> None:
        async with pool.connection(timeout=WITHIN_S) as c:
            assert await c.table("t").row(key) == row(key)

    async def main() -> None:
        async with aio.ConnectionPool(1, check_after=0, timeout=10_000, **server.connect) as pool:
            await ask_for(pool, b"before")
            happens(end_of(server))
            async with pool.connection() as c:
                if pool.stats().connects == 1:
                    sock = c.client._socket.sock
                    while True:
                        try:
                            sock.recv(1, socket.MSG_PEEK)
                            break
                        except BlockingIOError:
                            await asyncio.sleep(0.005)
            await ask_for(pool, b"after")
            assert pool.stats().connects == 2 and closed(pool) == {"dead": 1}

    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await main()

    asyncio.run(bounded())


# ---- within a call


def half_a_reply(call: Call) -> None:
    end: Any = call.stream.sock
    record = end.encrypted(call.stream.good(call))
    end.raw.sendall(record[: len(record) // 2])


def test_half_a_record_and_silence_costs_the_connection(server: TlsServer) -> None:
    with pool_to(server) as pool:
        server.script = half_a_reply
        with pytest.raises(TimeoutError), pool.connection() as c:
            c.client._socket.settimeout(0.2)
            c.table("t").row(b"k")
        server.script = None
        ask(pool)
        assert pool.stats().connects == 2 and closed(pool) == {"error": 1}


def test_a_late_reply_is_nobodys(server: TlsServer) -> None:
    late: list[Call] = []
    with pool_to(server) as pool:
        server.script = late.append
        with pool.connection() as c:
            c.client._socket.settimeout(0.2)
            try:
                c.table("t").row(b"first")
            except TimeoutError:
                pass  # even if it is swallowed
        server.script = None
        assert eventually(lambda: bool(late))  # on a busy machine the call may come after its caller has given up
        with contextlib.suppress(OSError):
            late[0].stream.send(late[0].stream.good(late[0]))
        ask(pool, b"other")
        assert pool.stats().connects == 2


def test_a_goodbye_within_a_call(server: TlsServer) -> None:
    with pool_to(server) as pool:
        server.script = lambda call: call.stream.sock.say_goodbye()  # type: ignore[attr-defined]
        with pytest.raises(TTransportException) as raised, pool.connection() as c:
            c.table("t").row(b"k")
        assert raised.value.type == TTransportException.END_OF_FILE
        server.script = None
        ask(pool)


def test_the_server_restarts() -> None:
    authority = Authority()
    with HBaseServer() as hbase, Relay(hbase, context=authority.mine) as front:
        options = {"host": HOST, "port": front.port, "ssl_context": authority.trusting()}
        with fastpool.ConnectionPool(3, check_after=0, nested=False, timeout=10_000, **options) as pool:  # type: ignore[arg-type]
            held = [pool.checkout() for _ in range(3)]
            assert [c.tables() for c in held] == [[]] * 3
            assert hbase.drop_connections() == 3
            for c in held:
                pool.checkin(c)
            for _ in range(3):
                with pool.connection() as c:
                    assert eventually(lambda c=c: not c.client.in_step() or pool.stats().connects > 3, WITHIN_S)
            for _ in range(3):
                with pool.connection() as c:
                    c.tables()
            assert pool.stats().connects >= 4


# ---- connecting


@pytest.mark.parametrize(
    ("authority", "asked", "why"),
    [
        (lambda: Authority(expired=True), HOST, "certificate has expired"),
        (lambda: Authority("other.example"), HOST, "IP address mismatch"),
        (Authority, "localhost", "Hostname mismatch"),
    ],
    ids=["expired", "of another", "by another name"],
)
def test_a_certificate_that_is_refused(authority: Any, asked: str, why: str) -> None:
    server = TlsServer(authority=authority())
    try:
        with pytest.raises(TTransportException, match=why) as raised:
            pool_to(server, host=asked)
        assert raised.value.type == TTransportException.NOT_OPEN
        assert f"Could not connect to ('{asked}', {server.port})" in str(raised.value)
        assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)
        pool = pool_to(server, host=asked, open=False, backoff=(0, 0))
        for _ in range(2):
            with pytest.raises(TTransportException, match=why), pool.connection():
                pass
        assert len(pool) == 0 and pool.stats().leased == 0
        pool.close()
    finally:
        server.close()


def test_an_authority_that_is_not_trusted(server: TlsServer) -> None:
    with pytest.raises(TTransportException, match="certificate verify failed"):
        pool_to(server, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def test_a_server_without_tls(hbase: HBaseServer) -> None:
    with pytest.raises(TTransportException, match="Could not connect to"):
        fastpool.ConnectionPool(1, host=hbase.host, port=hbase.port, timeout=2000, ssl_context=Authority().trusting())


def test_a_handshake_that_hangs_takes_no_longer_than_the_checkout() -> None:
    with socket.create_server((HOST, 0)) as listener:
        options = {"host": HOST, "port": listener.getsockname()[1], "ssl_context": Authority().trusting()}
        pool = fastpool.ConnectionPool(1, open=False, **options)  # type: ignore[arg-type]
        began = time.monotonic()
        with pytest.raises(fastpool.NoConnectionsAvailable) as raised, pool.connection(timeout=0.2):
            pass
        assert time.monotonic() - began < 10 and raised.value.phase == "connect"
        pool.close()


def test_a_handshake_that_hangs_takes_no_longer_than_the_socket_timeout() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(TTransportException, match="Could not connect"):
            fastpool.ConnectionPool(1, host=HOST, port=port, timeout=200, ssl_context=Authority().trusting())
        assert time.monotonic() - began < 10


# ---- several at once, and after a fork


def test_many_threads(server: TlsServer) -> None:
    def work(number: int) -> None:
        for turn in range(20):
            ask(pool, b"%d-%d" % (number, turn))

    with pool_to(server, 4) as pool:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WITHIN_S)
        assert not any(thread.is_alive() for thread in threads)
        assert pool.stats().checkins >= 240 and pool.stats().connects <= 4 and closed(pool) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_connects_anew_and_leaves_the_parents_session_alone(server: TlsServer) -> None:
    with pool_to(server) as pool:
        child_and_parent_ask(pool, ask)
        assert pool.stats().connects == 1 and server.connections(2) == 2


@pytest.mark.parametrize("value", [True, "ssl", {}])
def test_what_is_no_context(value: Any) -> None:
    with pytest.raises(TypeError, match=r"ssl_context must be an ssl\.SSLContext or None, not"):
        fastpool.ConnectionPool(1, ssl_context=value)
