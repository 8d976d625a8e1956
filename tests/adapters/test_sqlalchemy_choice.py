"""FastPool: which connections are handed out, pings, and servers."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

import sqlalchemy
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import ConnectionPoolEntry

import fastpool
from fastpool.adapters.sqlalchemy import FastPool
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import until

from ._sqlalchemy import Database
from .test_sqlalchemy import Make, clock, db, make, sizes

__all__ = ["clock", "db", "make"]  # fixtures


# ---- what is handed out


def test_one_whose_server_has_hung_up_is_not_handed_out(make: Make, db: Database) -> None:
    pool = make(pool_size=2, check_after=0)
    first = pool.connect()
    first.close()
    db.made[0].peer.close()
    c = pool.connect()
    assert (c.dbapi_connection.number, db.made[0].closed) == (1, True)
    assert pool.stats().closed["dead"] == 1
    c.close()


def test_one_with_an_unread_answer_is_not_handed_out(make: Make, db: Database) -> None:
    pool = make(pool_size=2, check_after=0)
    pool.connect().close()
    db.made[0].peer.send(b"late")
    c = pool.connect()
    assert (c.dbapi_connection.number, pool.stats().closed["desync"]) == (1, 1)
    c.close()


def test_one_that_was_used_a_moment_ago_is_trusted_and_later_it_is_not(
    make: Make, db: Database, clock: VirtualClock
) -> None:
    pool = make(pool_size=2)
    pool.connect().close()
    db.made[0].peer.close()
    c = pool.connect()
    assert c.dbapi_connection.number == 0
    c.close()
    clock.advance(1)
    c = pool.connect()
    assert c.dbapi_connection.number == 1
    c.close()


def test_one_that_comes_back_closed_is_not_kept(make: Make, db: Database) -> None:
    pool = make(reset_on_return=None)
    c = pool.connect()
    c.dbapi_connection.close()
    c.close()
    assert (pool.checkedin(), pool.stats().closed["discarded"]) == (0, 1)
    c = pool.connect()
    c.close()
    assert (pool.checkedin(), db.open) == (1, 1)


def test_one_that_expired_is_not_handed_out(make: Make, clock: VirtualClock) -> None:
    pool = make(max_lifetime=100)
    pool.connect().close()
    clock.advance(101)
    c = pool.connect()
    assert (c.dbapi_connection.number, pool.stats().closed["lifetime"]) == (1, 1)
    c.close()


@pytest.mark.parametrize("end", ["invalidate", "detach"])
def test_a_record_outlives_its_connection(make: Make, db: Database, end: str) -> None:
    pool = make(pool_size=1, max_overflow=0, check_after=0)
    c = pool.connect()
    c.record_info["seen"] = True
    getattr(c, end)()
    assert pool.checkedin() == 1
    again = pool.connect()
    assert (again.record_info["seen"], again.dbapi_connection.number) == (True, 1)
    again.close()
    c.close()
    assert (db.made[0].closed, pool.stats().connects) == (True, 1)


def test_soft_invalidation_takes_effect_at_the_next_checkout(make: Make, db: Database) -> None:
    pool = make(pool_size=1, max_overflow=0)
    c = pool.connect()
    c._connection_record.starttime -= 1  # SQLAlchemy compares times, which must differ
    c.invalidate(soft=True)
    assert not db.made[0].closed
    c.close()
    c = pool.connect()
    assert (c.dbapi_connection.number, db.made[0].closed) == (1, True)
    c.close()


def test_a_dropped_connection_comes_back(make: Make) -> None:
    pool = make(pool_size=1, max_overflow=0, timeout=0)
    c = pool.connect()
    assert pool.checkedin() == 0
    del c
    pool.connect().close()
    assert sizes(pool) == (1, 1, 0, 0)


def test_a_subclass_may_have_its_own_way_to_get_and_return(db: Database) -> None:
    class Counting(FastPool):
        calls = 0

        def _do_get(self) -> ConnectionPoolEntry:
            self.calls += 1
            return super()._do_get()

        def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
            self.calls += 1
            super()._do_return_conn(record)

    pool = Counting(db.connect)
    pool.connect().close()
    assert (pool.calls, sizes(pool)) == (2, (5, 1, -4, 0))
    pool.close()


# ---- pings


def pinged(engine: sqlalchemy.Engine) -> list[object]:
    """The connections that are pinged from now on."""
    pings: list[object] = []
    ping = engine.dialect.do_ping

    def note(c: Any) -> bool:
        pings.append(c)
        return ping(c)

    engine.dialect.do_ping = note  # type: ignore[method-assign]
    return pings


@pytest.mark.parametrize(("options", "pings"), [({}, 0), ({"check_after": 10}, 1), ({"pool_pre_ping": True}, 2)])
def test_only_who_asks_for_pings_has_them(
    tmp_path: Any, clock: VirtualClock, options: dict[str, Any], pings: int
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/db", poolclass=FastPool, **options)
    seen = pinged(engine)
    for wait in (0, 5, 11):
        clock.advance(wait)
        with engine.connect() as c:
            assert c.scalar(text("SELECT 1")) == 1
    assert len(seen) == pings
    engine.dispose()


def test_an_idle_connection_that_does_not_answer_is_replaced(tmp_path: Any, clock: VirtualClock) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/db", poolclass=FastPool, check_after=10)
    with engine.connect() as c:
        first = c.connection.dbapi_connection
    first.close()  # type: ignore[union-attr]
    clock.advance(11)
    with engine.connect() as c:
        assert c.scalar(text("SELECT 1")) == 1
    assert engine.pool.stats().closed["dead"] == 1  # type: ignore[attr-defined]
    engine.dispose()


def test_keepalive_pings_idle_connections_and_leaves_no_transaction_open(tmp_path: Any) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/db", poolclass=FastPool, keepalive=0.05)
    seen = pinged(engine)
    rolled_back: list[object] = []
    rollback = engine.dialect.do_rollback

    def note(c: Any) -> None:
        rolled_back.append(c)
        rollback(c)

    with engine.connect():
        pass
    engine.dialect.do_rollback = note  # type: ignore[method-assign]
    until(lambda: len(seen) >= 2)
    until(lambda: len(rolled_back) >= 2)
    assert set(rolled_back) == set(seen)
    engine.dispose()


# ---- servers


def test_connections_go_to_several_servers() -> None:
    went: list[tuple[str, int, str]] = []

    class Refused(Exception):
        pass

    engine = create_engine("postgresql+psycopg://u@nowhere/d", poolclass=FastPool, servers=["a:1", "b:2"])

    @event.listens_for(engine, "do_connect")
    def note(dialect: Any, record: Any, cargs: Any, cparams: Any) -> None:
        went.append((cparams["host"], cparams["port"], cparams["user"]))
        raise Refused

    with pytest.raises(fastpool.AllServersUnavailable) as caught:
        engine.connect()
    assert isinstance(caught.value, sqlalchemy.exc.TimeoutError)
    assert isinstance(caught.value.__cause__, Refused)
    assert sorted(went) == [("a", 1, "u"), ("b", 2, "u")]


def test_a_creator_reads_the_server_from_the_record(db: Database) -> None:
    def creator(record: Any) -> Any:
        c: Any = db.connect()
        c.server = record.record_info["fastpool_server"]
        return c

    pool = FastPool(creator, servers=["a:1", "b:2"])
    one, other = pool.connect(), pool.connect()
    where = one.dbapi_connection.server
    assert {where, other.dbapi_connection.server} == {("a", 1), ("b", 2)}
    one.invalidate()
    one = pool.connect()
    assert one.dbapi_connection.server == where
    assert {lease.server for lease in pool.leases()} == {("a", 1), ("b", 2)}
    pool.close(timeout=0)
