"""FastPool: its arguments, its numbers, its errors, and what it hands out."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

import sqlalchemy
from sqlalchemy import create_engine

import fastpool
from fastpool._options import CommonOptions
from fastpool.adapters import sqlalchemy as adapter
from fastpool.adapters.sqlalchemy import FastPool
from fastpool.adapters.sqlalchemy.arguments import OPTIONS
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import PATIENCE, until

from ._sqlalchemy import Database, database

LISTENER = {"connected": print}
GIVEN: dict[str, Any] = {
    "min_size": 2, "order": "lifo", "max_idle": 3, "max_waiting": 7, "max_lifetime": 600.0, "idle_timeout": 60.0,
    "max_uses": 9, "check_timeout": 2.0, "check_after": 1.0, "keepalive": 30.0, "max_connecting": 4,
    "servers": ["a:1", "b:2"], "balance": "random", "backoff": (0.2, 2.0), "leak_after": 5.0, "listeners": [LISTENER],
    "open": False, "name": "of the engine", "timing": True, "reclaim": False, "collect_garbage": True,
    "shared": "an engine's of tests", "shared_max": 50,
}  # fmt: skip

Make = Callable[..., FastPool]


@pytest.fixture
def db() -> Iterator[Database]:
    with database() as db:
        yield db


@pytest.fixture
def make(db: Database) -> Iterator[Make]:
    made: list[FastPool] = []

    def make(**arguments: Any) -> FastPool:
        made.append(FastPool(db.connect, **arguments))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with VirtualClock() as clock:
        yield clock


def sizes(pool: FastPool) -> tuple[int, int, int, int]:
    return pool.size(), pool.checkedin(), pool.overflow(), pool.checkedout()


# ---- arguments


def test_every_option_of_fastpool_is_an_argument_of_create_engine() -> None:
    assert set(OPTIONS) == set(CommonOptions.__annotations__) - {"max_overflow"} == set(GIVEN)
    engine = create_engine("sqlite://", poolclass=FastPool, **GIVEN)
    config = engine.pool._pool.config
    for option, value in GIVEN.items():
        expected = {"servers": (("a", 1), ("b", 2)), "listeners": (LISTENER,)}.get(option, value)
        assert getattr(config, option) == expected, option


def test_arguments_of_sqlalchemy() -> None:
    engine = create_engine(
        "sqlite://", poolclass=FastPool, pool_size=3, max_overflow=4, pool_timeout=5, pool_use_lifo=True,
        pool_recycle=60, pool_pre_ping=True, pool_reset_on_return="commit", pool_logging_name="mine",
    )  # fmt: skip
    pool: Any = engine.pool
    config = pool._pool.config
    assert (config.max_size, config.max_idle, config.timeout, config.order) == (7, 3, 5, "lifo")
    assert (pool._recycle, pool._pre_ping, pool.timeout()) == (60, True, 5)
    assert fastpool.get_pool("mine") is pool._pool


def test_defaults(make: Make) -> None:
    pool = make()
    config = pool._pool.config
    assert (pool.size(), config.max_size, config.max_idle, config.timeout) == (5, 15, 5, 30)
    assert (config.order, config.max_connecting, config.min_size) == ("fifo", 15, 0)


@pytest.mark.parametrize("overflow", [-1, -5, 10**9])
def test_a_negative_overflow_is_no_limit(make: Make, overflow: int) -> None:
    pool = make(pool_size=2, max_overflow=overflow)
    out = [pool.connect() for _ in range(20)]
    assert sizes(pool) == (2, 0, 18, 20)
    for c in out:
        c.close()
    assert sizes(pool) == (2, 2, 0, 0)


def test_a_pool_size_of_0_is_no_limit_and_keeps_all(make: Make) -> None:
    pool = make(pool_size=0, max_overflow=3)
    out = [pool.connect() for _ in range(20)]
    assert sizes(pool) == (0, 0, 0, 20)
    for c in out:
        c.close()
    assert sizes(pool) == (0, 20, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"pool_size": -1}, ValueError, "pool_size must be at least 0 (0: no limit), not -1"),
        ({"pool_size": "5"}, TypeError, "pool_size must be an integer, not '5' (str)"),
        ({"max_overflow": 1.5}, TypeError, "max_overflow must be an integer, not 1.5 (float)"),
        ({"timeout": -1}, ValueError, "timeout must be a number of seconds >= 0 or None and finite, not -1"),
        ({"check_after": "x"}, TypeError, "check_after must be a number of seconds >= 0 or None, not 'x' (str)"),
        ({"order": "any"}, ValueError, "order must be one of 'lifo', 'fifo', not 'any'"),
        ({"max_size": 4}, TypeError, "unexpected keyword argument 'max_size'"),
        ({"reset_on_return": "x"}, sqlalchemy.exc.ArgumentError, "Invalid value for 'reset_on_return': 'x'"),
    ],
)
def test_a_bad_argument_is_named(make: Make, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make(**arguments)


def test_open_is_refused_where_the_engine_is_not_ready() -> None:
    with pytest.raises(ValueError, match=r"call engine\.pool\.open\(\) after it"):
        create_engine("sqlite://", poolclass=FastPool, open=True)


def test_open_and_warm(make: Make, db: Database) -> None:
    pool = make(min_size=2, open=True)
    assert db.open == 2
    assert (pool.warm(), db.open) == (5, 5)
    assert (pool.warm(7), db.open) == (7, 7)


# ---- numbers


def test_status(make: Make) -> None:
    pool = make(pool_size=3)
    held = pool.connect()
    pool.connect().close()
    assert pool.status() == (
        "Pool size: 3  Connections in pool: 1 Current Overflow: -1 Current Checked out connections: 1"
    )
    assert (pool.stats().leased, len(pool.leases())) == (1, 1)
    held.close()


def test_what_comes_back_is_kept_up_to_pool_size_while_others_are_out(make: Make, db: Database) -> None:
    pool = make(pool_size=2, max_overflow=2)
    a, b, c, d = (pool.connect() for _ in range(4))
    a.close()
    b.close()
    assert (sizes(pool), db.open) == ((2, 2, 2, 2), 4)
    c.close()
    d.close()
    assert (sizes(pool), db.open) == ((2, 2, 0, 0), 2)


@pytest.mark.parametrize(("arguments", "order"), [({}, [0, 1, 2]), ({"use_lifo": True}, [2, 2, 2])])
def test_order(make: Make, arguments: dict[str, Any], order: list[int]) -> None:
    pool = make(**arguments)
    for c in [pool.connect() for _ in range(3)]:
        c.close()
    seen = []
    for _ in range(3):
        c = pool.connect()
        seen.append(c.dbapi_connection.number)
        c.close()
    assert seen == order


def test_resize(make: Make, db: Database) -> None:
    pool = make(pool_size=1, max_overflow=0, timeout=0)
    first = pool.connect()
    pool.resize(pool_size=2, max_overflow=1)
    others = [pool.connect(), pool.connect()]
    with pytest.raises(adapter.TimeoutError):
        pool.connect()
    for c in (first, *others):
        c.close()
    assert (sizes(pool), db.open) == ((2, 2, 0, 0), 2)
    assert pool.recreate().size() == 2


# ---- errors


def test_timeout(make: Make) -> None:
    pool = make(pool_size=1, max_overflow=1, timeout=0.05)
    held = [pool.connect(), pool.connect()]
    with pytest.raises(sqlalchemy.exc.TimeoutError) as caught:
        pool.connect()
    assert isinstance(caught.value, fastpool.NoConnectionsAvailable)
    lines = str(caught.value).splitlines()
    assert lines[0] == "FastPool limit of size 1 overflow 1 reached, connection timed out, timeout 0.05"
    assert "raise pool_size or max_overflow" in lines[-1]
    assert "3o7r" in lines[-1]
    assert len(caught.value.holders) == len(held)


def test_a_full_line_is_overloaded(make: Make) -> None:
    pool = make(pool_size=1, max_overflow=0, max_waiting=0)
    held = pool.connect()
    with pytest.raises(fastpool.PoolOverloaded) as caught:
        pool.connect()
    assert isinstance(caught.value, sqlalchemy.exc.TimeoutError)
    held.close()


def test_closed(make: Make, db: Database) -> None:
    pool = make(pool_size=1, max_overflow=0)
    held = pool.connect()
    told: list[BaseException] = []

    def wait() -> None:
        try:
            pool.connect()
        except Exception as error:
            told.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: pool.stats().waiting == 1)
    pool.close()
    waiter.join(PATIENCE)
    with pytest.raises(fastpool.PoolClosed) as caught:
        pool.connect()
    assert all(isinstance(error, adapter.PoolClosed) for error in (*told, caught.value))
    assert isinstance(caught.value, sqlalchemy.exc.TimeoutError)
    held.close()
    assert (len(told), db.open, pool.closed) == (1, 0, True)


def test_a_failed_connect_is_the_drivers_own_error_and_leaves_room(make: Make, db: Database) -> None:
    pool = make(pool_size=1, max_overflow=0, timeout=0)
    db.refusal = OSError("no server here")
    for _ in range(2):
        with pytest.raises(OSError, match="no server here"):
            pool.connect()
    db.refusal = None
    pool.connect().close()
    assert sizes(pool) == (1, 1, 0, 0)
