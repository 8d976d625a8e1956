"""The drop-in against the in-memory HBase, directly and through a proxy that injects faults, on every transport."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thriftpy2.thrift import TException

import fastpool
from fastpool.testing import FaultProxy, HBaseServer
from fastpool.testing.hbase.script import KINDS

from ._settle import wait_until_readable
from .conftest import WIRES

SIZE = 3
ROWS = 20
FAILURES = (TException, OSError, EOFError)


@pytest.fixture(params=WIRES, ids="-".join)
def hbase(request: pytest.FixtureRequest) -> Iterator[HBaseServer]:
    transport, protocol = request.param
    with HBaseServer(transport=transport, protocol=protocol) as server:
        with pool_to(server, server, size=1) as pool, pool.connection() as c:
            c.create_table("t", {"cf": {}})
            with c.table("t").batch() as batch:
                for i in range(ROWS):
                    batch.put(key(i), value(i))
        yield server


def pool_to(where: Any, server: HBaseServer, *, size: int = SIZE, timeout: int = 5000) -> fastpool.ConnectionPool:
    return fastpool.ConnectionPool(
        size, host=where.host, port=where.port, transport=server.transport, protocol=server.protocol, timeout=timeout
    )


def key(i: int) -> bytes:
    return b"row-%03d" % i


def value(i: int) -> dict[bytes, bytes]:
    return {b"cf:number": b"%d" % i}


def read_everything(pool: fastpool.ConnectionPool) -> None:
    with pool.table("t") as table:
        assert [table.row(key(i)) for i in range(ROWS)] == [value(i) for i in range(ROWS)]
        assert list(table.scan(batch_size=7)) == [(key(i), value(i)) for i in range(ROWS)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("extra")])
def test_misbehaviour_harms_one_call(hbase: HBaseServer, kind: str) -> None:
    out_of_step = kind in ("wrong_seqid", "wrong_name")
    with pool_to(hbase, hbase) as pool:
        for swallowed in (False, True):
            wrong = hbase.misbehave(kind, "getRowWithColumns")
            try:
                with pool.table("t") as table:
                    if not out_of_step:
                        table.connection.transport.sock.settimeout(0.1)  # of this connection, for its last call
                    try:
                        table.row(key(1))
                        raise AssertionError("that reply cannot be taken for a good one")
                    except FAILURES:
                        if not swallowed:
                            raise
            except FAILURES:
                assert not swallowed
            assert wrong.happened.wait(5)
            read_everything(pool)
            wrong.release()
            read_everything(pool)
        assert pool.stats().closed["desync" if out_of_step else "error"] == 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("extra")])
def test_extra_reply_reaches_no_caller(hbase: HBaseServer, kind: str) -> None:
    with pool_to(hbase, hbase, size=1) as pool:
        wrong = hbase.misbehave(kind, "getRowWithColumns")
        with pool.table("t") as table:
            assert table.row(key(1)) == value(1)
            sock = table.connection.transport.sock
        wrong.release()
        try:
            # A reply that comes after the checkin is noticed when the next call is answered, and never taken for its
            # row.
            read_everything(pool)
        except TException as error:
            assert kind == "extra_reply_later", error
        read_everything(pool)
        with pool.connection() as c:
            assert c.transport.sock is not sock


def test_server_that_dropped_everything(hbase: HBaseServer) -> None:
    with fastpool.ConnectionPool(
        SIZE, host=hbase.host, port=hbase.port, transport=hbase.transport, protocol=hbase.protocol, check_after=0
    ) as pool:
        for reset in (False, True):
            held = [pool.checkout() for _ in range(SIZE)]
            socks = [c.transport.sock for c in held]
            for c in held:
                pool.checkin(c)
            assert hbase.wait_connections(SIZE)
            hbase.drop_connections(reset=reset)
            wait_until_readable(*socks)
            read_everything(pool)
        assert pool.stats().closed["error"] == 0


def test_no_scanner_stays_open(hbase: HBaseServer) -> None:
    with pool_to(hbase, hbase) as pool:
        with pool.connection() as c:
            scans = [c.table("t").scan(batch_size=5) for _ in range(4)]
            for scan in scans:
                next(scan)
            assert hbase.open_scanners == 4
        assert hbase.open_scanners == 0
        for scan in scans:
            with pytest.raises(fastpool.LeaseError):
                next(scan)
        read_everything(pool)
        assert pool.stats().closed["error"] == 0


def test_connections_closed_under_a_call_that_hangs(hbase: HBaseServer) -> None:
    pool = pool_to(hbase, hbase, size=1)
    failures: list[BaseException] = []

    def use() -> None:
        try:
            with pool.table("t") as table:
                table.row(key(1))
        except Exception as error:
            failures.append(error)

    with hbase.hold("getRowWithColumns") as hold:
        thread = threading.Thread(target=use)
        thread.start()
        assert hold.entered.wait(5)
        pool.close(timeout=0)
        thread.join(5)
        assert not thread.is_alive()
    assert [isinstance(failure, FAILURES) for failure in failures] == [True]


TROUBLES: dict[str, Callable[[FaultProxy], object]] = {
    "refuse": lambda proxy: proxy.server_gone(),
    "reset": lambda proxy: proxy.reset(),
    "half close": lambda proxy: proxy.half_close(),
    "cut": lambda proxy: proxy.cut_after(20),
    "cut at once": lambda proxy: proxy.cut_after(0),
    "hang": lambda proxy: proxy.hang(),
    "late": lambda proxy: proxy.hold_replies(),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_on_the_way(hbase: HBaseServer, trouble: str) -> None:
    with FaultProxy(hbase) as proxy, pool_to(proxy, hbase) as pool:
        read_everything(pool)
        for _ in range(2):
            TROUBLES[trouble](proxy)
            # A half-close affects existing connections only; every other fault lasts until the proxy is healed.
            for _ in range(1 if trouble == "half close" else 2):
                with pytest.raises(FAILURES), pool.table("t") as table:
                    table.connection.transport.sock.settimeout(0.1)  # of this connection, for its last call
                    table.row(key(1))
            proxy.heal()
            read_everything(pool)
        assert pool.stats().leased == 0


def test_dribbling_replies_are_good_ones(hbase: HBaseServer) -> None:
    with FaultProxy(hbase) as proxy, pool_to(proxy, hbase) as pool:
        proxy.dribble(0)
        with pool.table("t") as table:
            assert [table.row(key(i)) for i in range(5)] == [value(i) for i in range(5)]
        assert pool.stats().closed["error"] == 0
