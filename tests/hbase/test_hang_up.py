"""HBase's gateway hangs up on an idle connection, here after 2 s; no block may fail because of that."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

import happybase
import psutil
import pytest
from thriftpy2.transport import TTransportException

import fastpool
from tools.hbase.cluster import Gateway

READ_TIMEOUT_MS = 2000
NOTICE_S = 20.0


@pytest.fixture
def gateway(gateway_of: Callable[..., Gateway]) -> Gateway:
    return gateway_of(read_timeout_ms=READ_TIMEOUT_MS)


def hung_up_on(gateway: Gateway) -> int:
    """The number of this process's connections to the gateway that the gateway has closed."""
    connections = psutil.Process(os.getpid()).net_connections("tcp")
    return sum(
        c.status == psutil.CONN_CLOSE_WAIT and bool(c.raddr) and c.raddr.port == gateway.port for c in connections
    )


def await_hang_up(gateway: Gateway, n: int) -> None:
    """Wait until the gateway has closed n connections that this process holds open."""
    end = time.monotonic() + NOTICE_S
    while hung_up_on(gateway) < n:
        assert time.monotonic() < end, f"{hung_up_on(gateway)} of {n} connections closed after {NOTICE_S} s"
        time.sleep(0.05)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # it also forgets to close the old socket
def test_happybase_hands_out_the_dead_connection(gateway: Gateway) -> None:
    """The control: without this, the next tests would prove nothing."""
    pool = happybase.ConnectionPool(1, host=gateway.host, port=gateway.port)
    with pool.connection() as c:
        c.tables()
    await_hang_up(gateway, 1)
    with pytest.raises(TTransportException), pool.connection() as c:
        c.tables()
    with pool.connection() as c:
        c.close()
    gc.collect()


def test_a_connection_that_died_idle_is_replaced_before_the_block_runs(gateway: Gateway) -> None:
    with fastpool.ConnectionPool(1, host=gateway.host, port=gateway.port) as pool:
        with pool.connection() as first:
            first.tables()
        await_hang_up(gateway, 1)
        with pool.connection() as second:
            assert second is first, "as in happybase, a slot keeps its Connection object"
            assert isinstance(second.tables(), list)
        stats = pool.stats()
        assert stats.closed["dead"] == 1
        assert (stats.connects, stats.size, stats.idle) == (2, 1, 1)
    assert hung_up_on(gateway) == 0


def test_all_idle_connections_died_at_once(gateway: Gateway) -> None:
    with fastpool.ConnectionPool(4, host=gateway.host, port=gateway.port, nested=False) as pool:
        for _ in range(2):
            held = [pool.checkout() for _ in range(4)]
            for c in held:
                assert isinstance(c.tables(), list)
            for c in held:
                pool.checkin(c)
            await_hang_up(gateway, 4)
        assert pool.stats().closed["dead"] == 4


def test_a_connection_that_died_while_leased_costs_one_error_and_no_more(gateway: Gateway) -> None:
    with fastpool.ConnectionPool(1, host=gateway.host, port=gateway.port) as pool:
        with pytest.raises(TTransportException), pool.connection() as c:
            c.tables()
            await_hang_up(gateway, 1)
            c.tables()
        with pool.connection() as c:
            assert isinstance(c.tables(), list)
        assert pool.stats().connects == 2
