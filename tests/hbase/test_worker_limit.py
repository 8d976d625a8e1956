"""A gateway with 4 workers accepts a fifth connection, and does not answer it until another one ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from thriftpy2.transport import TTransportException

import fastpool
from tools.hbase.cluster import Gateway

WORKERS = 4
CALL_TIMEOUT_MS = 2500


@pytest.fixture
def gateway(gateway_of: Callable[..., Gateway]) -> Gateway:
    return gateway_of(max_workers=WORKERS)


def test_the_call_that_gets_no_worker_fails_cleanly_and_the_pool_recovers(gateway: Gateway) -> None:
    with fastpool.ConnectionPool(
        WORKERS + 1, host=gateway.host, port=gateway.port, timeout=CALL_TIMEOUT_MS, nested=False
    ) as pool:
        served = [pool.checkout() for _ in range(WORKERS)]
        for c in served:
            assert isinstance(c.tables(), list)

        with pytest.raises((TimeoutError, TTransportException)), pool.connection() as fifth:
            fifth.tables()
        stats = pool.stats()
        assert (stats.leased, stats.size) == (WORKERS, WORKERS), "the unanswered connection is not kept"

        for c in served:
            assert isinstance(c.tables(), list), "those that have a worker are not disturbed"
        pool.checkin(served.pop(), discard=True)

        with pool.connection() as c:
            assert isinstance(c.tables(), list)
        for c in served:
            pool.checkin(c)
        stats = pool.stats()
        assert (stats.leased, stats.idle, stats.waiting) == (0, WORKERS, 0)


def test_a_pool_no_larger_than_the_workers_is_always_answered(gateway: Gateway) -> None:
    with fastpool.ConnectionPool(
        WORKERS, host=gateway.host, port=gateway.port, timeout=CALL_TIMEOUT_MS, nested=False, checkout_timeout=0.2
    ) as pool:
        served = [pool.checkout() for _ in range(WORKERS)]
        for c in served:
            assert isinstance(c.tables(), list)
        with pytest.raises(fastpool.NoConnectionsAvailable), pool.connection():
            raise AssertionError("there was a fifth connection")
        for c in served:
            pool.checkin(c)
        with pool.connection() as c:
            assert isinstance(c.tables(), list)
        assert pool.stats().connects == WORKERS
