"""happybase's issue #21, word by word: what docs/issue-21.md says is shown here, or where it points to."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from Hbase_thrift import Hbase
from thriftpy2.protocol.binary import TBinaryProtocol
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TMemoryBuffer, TTransportException

import fastpool
from fastpool.testing import FaultProxy, HBaseServer, VirtualClock
from tests.concurrency._told import eventually

WITHIN_S = 20


def test_the_proposal_as_it_stands(hbase: HBaseServer) -> None:
    pool = fastpool.ConnectionPool(
        3, host=hbase.host, port=hbase.port, min_size=0, max_idle=1, open=False, backoff=(0.05, 0.05)
    )
    assert hbase.connections_opened == 0 == len(pool), "nothing is opened before the first get_connection()"
    c = pool.get_connection(block=True, table_prefix=None, table_prefix_separator="_")
    c.create_table("t", {"f": {}})
    assert c.tables() == [b"t"]
    pool.checkin(c)
    with pool.connection(timeout=None, table_prefix=b"app", table_prefix_separator=b"_") as c:
        assert c.tables() == []
    pool.close()


def test_max_and_idle(hbase: HBaseServer) -> None:
    with fastpool.ConnectionPool(3, host=hbase.host, port=hbase.port, max_idle=1) as pool:
        held = [pool.get_connection(block=False) for _ in range(3)]
        assert len({id(c) for c in held}) == 3
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.get_connection(block=False)
        for c in held:
            pool.checkin(c)
        assert len(pool) == 1 and pool.stats().closed["max_idle"] == 2
        assert hbase.wait_connections(1, WITHIN_S)


def test_min_is_kept(hbase: HBaseServer) -> None:
    with fastpool.ConnectionPool(3, host=hbase.host, port=hbase.port, min_size=2, check_after=0) as pool:
        assert len(pool) == 2 and hbase.wait_connections(2, WITHIN_S)
        pool.clear()
        end = time.monotonic() + WITHIN_S
        while not (hbase.connections_opened == 4 and len(pool) == hbase.connections_open == 2):
            assert time.monotonic() < end, "the keeper does not open them again"
            time.sleep(0.01)


def test_it_fails_fast_at_min(hbase: HBaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of three is refused: the constructor raises the transport's error, and what was open is closed."""
    asked: list[None] = []
    connect = socket.socket.connect

    def connect_two(sock: socket.socket, address: Any) -> None:
        asked.append(None)
        if len(asked) > 2:
            raise ConnectionRefusedError("the third is too many")
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", connect_two)
    with pytest.raises(TTransportException, match="Could not connect to") as raised:
        fastpool.ConnectionPool(3, host=hbase.host, port=hbase.port, min_size=3)
    assert raised.value.type == TTransportException.NOT_OPEN
    assert hbase.wait_connections(0, WITHIN_S)


def test_with_autoconnect_off_it_is_the_first_call_that_fails(closed_port: Callable[[], int]) -> None:
    pool = fastpool.ConnectionPool(3, host="127.0.0.1", port=closed_port(), min_size=2, open=False)
    for block in (True, False):
        with pytest.raises(TTransportException, match="Could not connect to"):
            pool.get_connection(block=block, timeout=WITHIN_S)
    with pytest.raises(TTransportException):
        pool.open()
    assert len(pool) == 0
    pool.close()


def test_retry_ms(hbase: HBaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal the server is left alone for the pause that ``backoff`` says, and is asked again after it."""
    with VirtualClock() as clock, FaultProxy(hbase) as proxy:
        pool = fastpool.ConnectionPool(1, host=proxy.host, port=proxy.port, open=False, backoff=(0.05, 0.05))
        monkeypatch.setattr(type(pool.connector.health), "draw", lambda health: 1.0)
        proxy.refuse()
        with pytest.raises(TTransportException):
            pool.get_connection()
        proxy.heal()
        clock.advance(0.04)
        with pytest.raises(TTransportException):
            pool.get_connection()
        assert proxy.connections_opened == 0, "it was not asked"
        clock.advance(0.02)
        pool.checkin(pool.get_connection())
        assert eventually(lambda: proxy.connections_opened == 1), "the proxy counts in a thread of its own"
        pool.close()


def test_a_connection_that_was_terminated_is_established_anew(hbase: HBaseServer) -> None:
    with fastpool.ConnectionPool(1, host=hbase.host, port=hbase.port, check_after=0) as pool:
        c = pool.get_connection()
        assert c.tables() == []
        hbase.drop_connections()
        pool.checkin(c)
        c = pool.get_connection()
        assert c.tables() == [] and pool.stats().connects == 2
        pool.checkin(c)


class Handler:
    """The replies of a server."""

    def getTableNames(self) -> list[bytes]:
        return [b"t"]


class InMemory:
    """A transport without a socket: the calls are answered in this process."""

    def __init__(self, *where: Any) -> None:
        self.processor = TProcessor(Hbase, Handler())
        self.opened = False
        self.call = self.reply = b""

    def is_open(self) -> bool:
        return self.opened

    def open(self) -> None:
        self.opened = True

    def close(self) -> None:
        self.opened = False

    def write(self, data: bytes) -> None:
        self.call += data

    def flush(self) -> None:
        call, self.call = self.call, b""
        out = TMemoryBuffer()
        self.processor.process(TBinaryProtocol(TMemoryBuffer(call), decode_response=False), TBinaryProtocol(out))
        self.reply += out.getvalue()

    def read(self, size: int) -> bytes:
        data, self.reply = self.reply[:size], self.reply[size:]
        return data


def test_without_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_socket(*where: Any) -> None:
        raise AssertionError(f"a socket connects to {where}")

    monkeypatch.setattr(socket.socket, "connect", no_socket)
    with fastpool.ConnectionPool(2, host="hbase.example", transport_factory=InMemory) as pool:
        with pool.connection() as c:
            assert isinstance(c.transport, InMemory) and c.tables() == [b"t"]
        held = [pool.get_connection() for _ in range(2)]
        assert [c.tables() for c in held] == [[b"t"]] * 2
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.get_connection(block=False)
        for c in held:
            pool.checkin(c)
