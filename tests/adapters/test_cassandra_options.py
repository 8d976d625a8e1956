"""SessionPool: the options of a pool, on permits."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")

import fastpool
from fastpool._config import Config
from fastpool.adapters.cassandra import SessionPool

from ._cassandra_session import Cluster, Session


@pytest.fixture
def session() -> Session:
    return Session(Cluster(at_once=True))


NO_MEANING = {"servers", "max_size"}  # refused, with the reason
ELSEWHERE = {"shared", "shared_max"}  # test_shared_option.py::test_cassandra
OPTIONS = {
    "min_size": 2, "order": "fifo", "max_overflow": 3, "max_idle": 2, "timeout": 1, "max_waiting": 5, "nested": True,
    "max_lifetime": 9, "idle_timeout": 9, "max_uses": 3, "check_timeout": 1, "check_after": 0, "keepalive": 9,
    "max_connecting": 1, "balance": "random", "backoff": (0, 0), "leak_after": 9, "listeners": [{"pool_closed": repr}],
    "open": False, "name": "n", "timing": True, "reclaim": False, "collect_garbage": True,
}  # fmt: skip


def test_every_option_is_taken_alone_and_all_at_once(session: Session) -> None:
    assert OPTIONS.keys() == {field.name for field in dataclasses.fields(Config)} - NO_MEANING - ELSEWHERE
    for options in ({name: value} for name, value in OPTIONS.items()), [OPTIONS]:
        for given in options:
            with SessionPool(session, max_concurrent=4, **given) as pool:
                for _ in range(8):
                    with pool.session() as leased:
                        leased.execute("q")
                asyncio.run(pool.execute("q"))
            assert pool.stats().leased == 0


def test_options_do_what_they_say(session: Session) -> None:
    told: list[Any] = []
    with SessionPool(
        session, max_concurrent=1, max_overflow=1, max_waiting=0, max_uses=1, listeners=[{"checked_out": told.append}]
    ) as pool:
        one, two = pool.checkout(), pool.checkout()
        with pytest.raises(fastpool.PoolOverloaded):
            pool.checkout()
        pool.checkin(two)
        pool.checkin(one)
        assert [event.pool for event in told] == [pool, pool]
        assert pool.stats().closed["max_uses"] == 2


def test_overflow_has_the_protocols_limit(session: Session) -> None:
    with SessionPool(session, max_concurrent=32760, max_overflow=-1) as pool:
        assert pool.config.max_overflow == 8
        pool.resize(max_overflow=0, max_concurrent=100)
        assert pool.max_concurrent == 100
        for bad in ({"max_size": 32769}, {"max_overflow": 32669}):
            with pytest.raises(ValueError, match="must be at most 32768 together, not 32769"):
                pool.resize(**bad)
        with pytest.raises(ValueError, match="max_concurrent must be from 1 to 32768"):
            pool.resize(max_concurrent=40000)
        assert (pool.max_concurrent, pool.config.max_overflow) == (100, 0)
    with pytest.raises(ValueError, match="must be at most 32768 together, not 40000"):
        SessionPool(session, max_concurrent=30000, max_overflow=10000)


def test_resized_while_in_use(session: Session) -> None:
    with SessionPool(session, max_concurrent=2) as pool:
        one, two = pool.checkout(), pool.checkout()
        pool.resize(max_concurrent=1)
        pool.checkin(one)
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.checkout(timeout=0)
        pool.checkin(two)
        with pool.session(timeout=0):
            pass
