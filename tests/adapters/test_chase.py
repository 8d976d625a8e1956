"""The pool of happybase's issue 21: its classes on the drop-in for socketpool, and HappybaseConnectionPool instead."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("happybase")

import happybase
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.adapters.happybase import HappybaseConnectionPool
from fastpool.testing import HBaseServer
from tests.pool.fake_driver import PATIENCE, until

from ._chase import HappybaseConnector, ProcessPool


@pytest.fixture
def hbase() -> Iterator[HBaseServer]:
    with HBaseServer() as server:
        yield server


@pytest.fixture
def chase(hbase: HBaseServer) -> Iterator[ProcessPool]:
    pool = ProcessPool(hbase.host, port=hbase.port, max_size=2, logging=logging.getLogger("chase"))
    yield pool
    pool.pool.close()
    ProcessPool._instance = None


# ---- its own classes, on the drop-in


def test_the_issues_pool_runs(chase: ProcessPool) -> None:
    with chase.connection() as connection:
        assert isinstance(connection, HappybaseConnector)
        connection.create_table("foobar", {"f": {}})
    with chase.table("foobar") as table:
        table.put(b"row", {b"f:a": b"1"})
    with chase.table("foobar") as table:
        assert table.row(b"row") == {b"f:a": b"1"}
    assert ProcessPool("another.example") is chase
    assert len(chase.pool) == 1


def test_its_exceptions_are_logged_and_leave_the_block(chase: ProcessPool, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="mine"), chase.connection() as connection:
        raise ValueError("mine")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("chase", "mine")]
    with chase.connection() as again:
        assert again is connection


def test_its_size_is_a_bound(chase: ProcessPool) -> None:
    with chase.connection(), chase.connection(), pytest.raises(fastpool.NoConnectionsAvailable):
        chase.pool.checkout(0)


def test_its_connector_is_replaced_when_the_server_has_hung_up(chase: ProcessPool, hbase: HBaseServer) -> None:
    with chase.connection() as first:
        first.tables()
    first.connection.transport.close()
    with chase.connection() as second:
        assert second is not first and second.tables() == []


def test_its_close_returns_the_connector(chase: ProcessPool) -> None:
    c = chase.pool.get()
    c.close()
    assert chase.pool.size == 1


# ---- HappybaseConnectionPool


@pytest.fixture
def made(hbase: HBaseServer) -> Iterator[list[HappybaseConnectionPool]]:
    """Pools to be closed when the test is over."""
    made: list[HappybaseConnectionPool] = []
    yield made
    for pool in made:
        pool.close()


def test_connection_and_table(hbase: HBaseServer, made: list[HappybaseConnectionPool]) -> None:
    pool = HappybaseConnectionPool(hbase.host, str(hbase.port))
    made.append(pool)
    with pool.connection() as c:
        assert isinstance(c, happybase.Connection)
        c.create_table("foobar", {"f": {}})
    with pool.table("foobar") as table:
        table.put(b"row", {b"f:a": b"1"})
        assert table.row(b"row") == {b"f:a": b"1"}
    assert pool.stats().max_size == 10 and isinstance(pool, fastpool.ConnectionPool)


def test_the_same_arguments_are_the_same_pool(made: list[HappybaseConnectionPool]) -> None:
    first = HappybaseConnectionPool("hbase.example", "9090", max_size=3, table_prefix="app", max_lifetime=60)
    others = [
        HappybaseConnectionPool("other.example", "9090", max_size=3, table_prefix="app", max_lifetime=60),
        HappybaseConnectionPool("hbase.example", "9091", max_size=3, table_prefix="app", max_lifetime=60),
        HappybaseConnectionPool("hbase.example", "9090", max_size=4, table_prefix="app", max_lifetime=60),
        HappybaseConnectionPool("hbase.example", "9090", max_size=3, table_prefix="app2", max_lifetime=60),
        HappybaseConnectionPool("hbase.example", "9090", max_size=3, max_lifetime=60),
    ]
    made += [first, *others]
    assert len({id(pool) for pool in made}) == 6
    assert HappybaseConnectionPool("hbase.example", 9090, 3, max_lifetime=60, table_prefix="app") is first
    assert HappybaseConnectionPool(host="hbase.example", max_size=3, table_prefix="app", max_lifetime=60) is first
    assert len(first) == 0 and first.config.max_lifetime == 60, "nothing is opened, and nothing is set twice"


def test_options_that_have_no_hash(made: list[HappybaseConnectionPool]) -> None:
    heard: list[Any] = []
    pools = [HappybaseConnectionPool("hbase.example", listeners=[{"connected": heard.append}]) for _ in range(2)]
    made += pools
    assert pools[0] is pools[1]


def test_a_closed_one_is_not_given_again(made: list[HappybaseConnectionPool]) -> None:
    first = HappybaseConnectionPool("hbase.example")
    first.close()
    second = HappybaseConnectionPool("hbase.example")
    made.append(second)
    assert second is not first and not second.closed


def test_all_threads_get_the_same(made: list[HappybaseConnectionPool]) -> None:
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait(PATIENCE)
        made.append(HappybaseConnectionPool("threads.example", 9090, 2))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(made) == 8 and len({id(pool) for pool in made}) == 1


def test_open_at_once(hbase: HBaseServer, made: list[HappybaseConnectionPool]) -> None:
    pool = HappybaseConnectionPool(hbase.host, hbase.port, min_size=2, open=True)
    made.append(pool)
    assert len(pool) == 2
    assert HappybaseConnectionPool(hbase.host, hbase.port, min_size=2) is pool
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    made.append(HappybaseConnectionPool(host, port))
    with pytest.raises(TTransportException, match="Could not connect"):
        HappybaseConnectionPool(host, port, open=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_has_the_same_pool_and_connections_of_its_own(
    hbase: HBaseServer, made: list[HappybaseConnectionPool]
) -> None:
    pool = HappybaseConnectionPool(hbase.host, hbase.port, max_size=1)
    made.append(pool)
    with pool.connection() as c:
        c.tables()
    child = os.fork()
    if child == 0:
        well = False
        try:
            with HappybaseConnectionPool(hbase.host, hbase.port, max_size=1).connection() as own:
                well = own.tables() == [] and pool.stats().connects == 1  # counted anew here
        finally:
            os._exit(0 if well else 1)
    assert os.waitpid(child, 0)[1] == 0
    with pool.connection() as c:
        assert c.tables() == []
    assert pool.stats().connects == 1


def test_it_travels_as_its_arguments(made: list[HappybaseConnectionPool]) -> None:
    pool = HappybaseConnectionPool("travel.example", max_size=2)
    made.append(pool)
    assert pickle.loads(pickle.dumps(pool)) is pool


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ((), TypeError, "host"),
        (("h", None), TypeError, "port must be an integer, or text that is one, not None"),
        (("h", "nine"), ValueError, "port must be an integer, or text that is one, not 'nine'"),
        (("h", 9090, 0), ValueError, "Pool 'size' arg must be greater than zero"),
        (("h", 9090, "3"), TypeError, "Pool 'size' arg must be an integer"),
        (("h", 9090, 3, 4), TypeError, "positional"),
    ],
)
def test_bad_arguments(arguments: tuple[Any, ...], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        HappybaseConnectionPool(*arguments)


def test_an_unknown_option() -> None:
    with pytest.raises(TypeError, match="sizes"):
        HappybaseConnectionPool("h", sizes=3)


def test_a_crowd_of_waiters_is_served(hbase: HBaseServer, made: list[HappybaseConnectionPool]) -> None:
    pool = HappybaseConnectionPool(hbase.host, hbase.port, max_size=2)
    made.append(pool)
    served: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            with pool.connection() as c:
                served.append(len(c.tables()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert served == [0] * 30
    assert until(lambda: pool.stats().leased == 0) and len(pool) <= 2
