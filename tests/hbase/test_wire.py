"""Each transport and protocol of HBase's gateway, through the pool; and load, with every row checked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from Hbase_thrift import AlreadyExists
from Hbase_thrift import IOError as HBaseIOError

import fastpool
from tools.hbase.cluster import Gateway

WIRES = [("buffered", "binary"), ("framed", "binary"), ("buffered", "compact"), ("framed", "compact")]
THREADS = 16
READS = 50


@pytest.fixture(params=WIRES, ids="-".join)
def pool(
    request: pytest.FixtureRequest, gateway_of: Callable[..., Gateway], table: str
) -> Iterator[fastpool.ConnectionPool]:
    transport, protocol = request.param
    gateway = gateway_of(framed=transport == "framed", compact=protocol == "compact")
    with fastpool.ConnectionPool(
        4, host=gateway.host, port=gateway.port, timeout=20_000, transport=transport, protocol=protocol
    ) as pool:
        yield pool
        stats = pool.stats()
        assert (stats.leased, stats.waiting, stats.connecting) == (0, 0, 0)


def test_rows_written_are_rows_read(pool: fastpool.ConnectionPool, table: str) -> None:
    with pool.connection() as c:
        t = c.table(table)
        with t.batch(batch_size=50) as batch:
            for i in range(200):
                batch.put(b"wire-%03d" % i, {b"f:n": b"%d" % i})
        assert t.row(b"wire-007") == {b"f:n": b"7"}
        assert [key for key, _ in t.scan(row_prefix=b"wire-", batch_size=30)] == [b"wire-%03d" % i for i in range(200)]
    assert pool.stats().connects == 1


def test_errors_that_hbase_declares_keep_the_connection(pool: fastpool.ConnectionPool, table: str) -> None:
    with pytest.raises(HBaseIOError), pool.connection() as c:
        c.table("no_such_table").row(b"r")
    with pytest.raises(AlreadyExists), pool.connection() as c:
        c.create_table(table, {"f": {}})
    with pool.connection() as c:
        assert c.table(table).row(b"no such row") == {}
    stats = pool.stats()
    assert stats.connects == 1
    assert sum(stats.closed.values()) == 0


def test_a_scan_left_open_does_not_disturb_the_next_caller(pool: fastpool.ConnectionPool, table: str) -> None:
    with pool.connection() as c:
        t = c.table(table)
        for i in range(20):
            t.put(b"open-%02d" % i, {b"f:n": b"%d" % i})
        scan = t.scan(row_prefix=b"open-", batch_size=2)
        assert next(scan)[0] == b"open-00"
    with pool.connection() as c:
        with pytest.raises(fastpool.LeaseError):
            list(scan)
        assert c.table(table).row(b"open-05") == {b"f:n": b"5"}


def test_every_thread_reads_its_own_row(pool: fastpool.ConnectionPool, table: str) -> None:
    """16 threads on 4 connections, each raising in its block now and then."""
    with pool.connection() as c:
        for i in range(THREADS):
            c.table(table).put(b"mine-%02d" % i, {b"f:who": b"%d" % i})
    wrong: list[object] = []

    def read(i: int) -> None:
        try:
            for n in range(READS):
                try:
                    with pool.connection() as c:
                        row = c.table(table).row(b"mine-%02d" % i)
                        if row != {b"f:who": b"%d" % i}:
                            wrong.append((i, row))
                        if n % 10 == i % 10:
                            raise KeyError(i)
                except KeyError:
                    continue
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert pool.stats().connects <= 4, "an application's error costs no reconnect"
