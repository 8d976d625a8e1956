"""The drop-in for DBUtils' PooledDB: what DBUtils' own tests do not ask, and what differs on purpose."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import fastpool
from fastpool.adapters import dbutils as ours
from fastpool.adapters.dbutils import InvalidConnectionError, PooledDB, TooManyConnectionsError
from fastpool.testing.virtual_clock import VirtualClock
from tests.pool.fake_driver import PATIENCE

from . import _dbapi as db


@pytest.fixture(autouse=True)
def nothing_made() -> Iterator[None]:
    yield from db.fresh()


# ---- arguments and errors


def test_errors_are_dbutils_and_ours() -> None:
    theirs = pytest.importorskip("dbutils.pooled_db")
    steady = pytest.importorskip("dbutils.steady_db")
    for name in ("PooledDBError", "InvalidConnectionError", "NotSupportedError", "TooManyConnectionsError"):
        assert issubclass(getattr(ours, name), (getattr(theirs, name)))
        assert issubclass(getattr(ours, name), theirs.PooledDBError) and issubclass(
            getattr(ours, name), ours.PooledDBError
        )
        assert issubclass(getattr(ours, name), fastpool.PoolError)
    assert issubclass(ours.InvalidCursorError, steady.InvalidCursorError)
    assert issubclass(ours.InvalidCursorError, fastpool.PoolError)
    assert issubclass(TooManyConnectionsError, fastpool.NoConnectionsAvailable)
    assert issubclass(InvalidConnectionError, fastpool.LeaseError)
    assert issubclass(ours.SteadyDBConnection, steady.SteadyDBConnection)
    assert (ours.TooManyConnections, ours.InvalidConnection) == (TooManyConnectionsError, InvalidConnectionError)


@pytest.mark.parametrize(
    ("error", "name", "arguments"),
    [
        (TypeError, "mincached", {"mincached": "2"}),
        (ValueError, "mincached", {"mincached": -1}),
        (TypeError, "maxcached", {"maxcached": 1.5}),
        (TypeError, "maxshared", {"maxshared": True}),
        (ValueError, "maxconnections", {"maxconnections": 65536}),
        (TypeError, "maxusage", {"maxusage": "3"}),
        (ValueError, "maxusage", {"maxusage": -3}),
        (TypeError, "setsession", {"setsession": "SET x"}),
        (TypeError, "failures", {"failures": "OperationalError"}),
        (TypeError, "failures", {"failures": (ValueError, 3)}),
        (TypeError, "isfatal", {"isfatal": 3}),
        (TypeError, "ping", {"ping": (1, 2)}),
        (TypeError, "ping", {"ping": (1, "SELECT 1", 2)}),
        (ValueError, "max_size", {"maxconnections": 3, "max_size": 4}),
        (ValueError, "max_waiting", {"max_waiting": -1}),
    ],
)
def test_a_bad_argument_is_named(error: type[Exception], name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(error, match=name):
        PooledDB(db, **arguments)
    assert db.made == []


def test_a_creator_that_cannot_connect_is_named() -> None:
    with pytest.raises(TypeError, match="creator"):
        PooledDB("postgres")


def test_isfatal_or_the_creators_first_argument_may_follow_ping() -> None:
    """DBUtils 3.1 has no isfatal; code for it gives the creator's arguments there."""
    now = (db, 0, 0, 0, 0, False, None, None, True, None, 1)
    with PooledDB(*now, "dsn", user="me") as pool, pool.connection() as con:
        assert (con.dbapi_connection.args, con.dbapi_connection.kwargs) == (("dsn",), {"user": "me"})
    with PooledDB(*now, None, "dsn") as pool, pool.connection() as con:
        assert con.dbapi_connection.args == ("dsn",)
    with PooledDB(*now, lambda error: False, "dsn") as pool, pool.connection() as con:
        con.dbapi_connection.lost = True
        with pytest.raises(db.OperationalError):
            con.cursor()
    with pytest.raises(TypeError, match="isfatal was given twice"):
        PooledDB(*now, None, isfatal=print)


def test_options_of_fastpool_are_taken_and_do_not_reach_the_creator() -> None:
    opened: list[Any] = []
    options: dict[str, Any] = {
        "name": "shop",
        "max_uses": 1,
        "listeners": [{"connected": opened.append}],
        "timing": True,
    }
    with PooledDB(db, 1, database="test", **options) as pool:
        assert fastpool.get_pool("shop") is pool and db.made[0].kwargs == {"database": "test"}
        with pool.connection(), pool.connection():
            assert pool.stats().leased == len(pool.leases()) == 2
        assert (pool.stats().closed["max_uses"], len(opened)) == (2, 2)
        pool.resize(max_size=1)
        with pool.connection(), pytest.raises(TooManyConnectionsError):
            pool.connection()


def test_max_size_is_maxconnections() -> None:
    with PooledDB(db, max_size=1) as pool, pool.connection(), pytest.raises(TooManyConnectionsError):
        pool.connection()


def test_servers_give_the_creator_host_and_port() -> None:
    with PooledDB(db, servers=["one:1", "two:2"], user="me") as pool, pool.connection(), pool.connection():
        assert [con.kwargs for con in db.made] == [
            {"user": "me", "host": "one", "port": 1},
            {"user": "me", "host": "two", "port": 2},
        ]


def test_it_is_pickled_as_its_arguments() -> None:
    pool = PooledDB(db, 0, 0, 1, name="pickled", user="me")
    data = pickle.dumps(pool)
    assert pickle.loads(data) is pool
    pool.close()
    other = pickle.loads(data)
    with other, other.connection() as con:
        assert other is not pool and con.dbapi_connection.kwargs == {"user": "me"}
        assert other._shared_cache[0].con.dbapi_connection is con.dbapi_connection


# ---- fit for the next caller


def test_a_lost_connection_is_not_handed_out() -> None:
    with PooledDB(db, 1) as pool:
        db.made[0].lost = True
        with pool.connection() as con:
            assert con.dbapi_connection is db.made[1]
        assert pool.stats().closed["dead"] == 1


@pytest.mark.parametrize("ping", [0, 1])
def test_a_connection_that_cannot_be_rolled_back_is_not_handed_out(ping: int) -> None:
    """DBUtils keeps it, and with ping=0 hands it out."""
    with PooledDB(db, ping=ping) as pool:
        with pool.connection():
            db.made[0].lost = True
        with pool.connection() as con:
            assert con.dbapi_connection is db.made[1]
        assert db.made[0].over


def test_an_expired_connection_is_not_handed_out() -> None:
    with VirtualClock() as clock, PooledDB(db, 1, max_lifetime=10, idle_timeout=5) as pool:
        clock.advance(6)
        with pool.connection() as con:
            assert con.dbapi_connection is db.made[1]
            clock.advance(11)
        with pool.connection() as con:
            assert con.dbapi_connection is db.made[2]


def test_connections_are_used_in_turn() -> None:
    with PooledDB(db, 3) as pool:
        used = []
        for _ in range(6):
            with pool.connection() as con:
                used.append(con.dbapi_connection.number)
        assert used == [0, 1, 2, 0, 1, 2]


def test_a_cursor_ends_with_its_connections_return() -> None:
    """With DBUtils it goes on to use the connection, which may be another caller's."""
    with PooledDB(db, 1) as pool:
        con = pool.connection()
        cursor = con.cursor()
        con.close()
        said = list(db.made[0].said)
        assert said[-2:] == ["cursor closed", "rollback"]
        for name in ("execute", "fetchall", "dbapi_cursor"):
            with pytest.raises(InvalidConnectionError, match="returned to the pool"):
                getattr(cursor, name)
        cursor.close()
        del cursor
        assert db.made[0].said == said


def test_of_many_cursors_those_that_are_open_are_closed() -> None:
    with PooledDB(db) as pool:
        with pool.connection() as con:
            kept = [con.cursor()]
            for _ in range(250):
                con.cursor()
            kept.append(con.cursor())
            assert len(con._cursors) < 150
            db.made[0].said.clear()
        assert db.made[0].said == ["cursor closed", "cursor closed", "rollback"]
        assert len(kept) == 2


def test_tasks_have_steady_connections() -> None:
    async def program() -> None:
        with PooledDB(db, maxconnections=1) as pool:
            async with pool.aconnection() as con:
                assert isinstance(con, ours.SteadyDBConnection)
                con.cursor().execute("x")
            with pytest.raises(db.IntegrityError):
                async with pool.aconnection() as con:
                    con.cursor().execute("twice")
            async with pool.aconnection() as con:
                assert con.dbapi_connection is db.made[0]

    asyncio.run(asyncio.wait_for(program(), PATIENCE))


def test_a_closed_connection_says_so() -> None:
    with PooledDB(db) as pool:
        con = pool.connection()
        con.close()
        with pytest.raises(InvalidConnectionError, match="cursor cannot be used"):
            con.cursor()


@pytest.mark.parametrize("reset", [True, False, None])
def test_reset_rolls_back(reset: bool | None) -> None:
    with PooledDB(db, reset=reset) as pool:
        with pool.connection():
            pass
        assert db.made[0].said == (["rollback"] if reset else [])
        with pool.connection() as con:
            con.begin()
        assert db.made[0].said[-1] == "rollback"


# ---- steady


def test_a_statement_is_repeated_on_a_new_connection_unless_in_a_transaction() -> None:
    with PooledDB(db, setsession=["SET x"]) as pool, pool.connection() as con:
        cursor = con.cursor()
        db.made[0].lost = True
        cursor.execute("one")
        assert con.dbapi_connection is db.made[1] and db.made[1].said[:4] == [
            "cursor",
            "SET x",
            "cursor closed",
            "cursor",
        ]
        con.begin()
        cursor.execute("two")
        db.made[1].lost = True
        with pytest.raises(db.OperationalError):
            cursor.execute("three")
        assert con.dbapi_connection is db.made[2] and "three" not in db.made[2].said


def test_an_error_that_is_no_failure_costs_nothing() -> None:
    with PooledDB(db) as pool:
        with pytest.raises(db.IntegrityError), pool.connection() as con:
            con.cursor().execute("twice")
        with pool.connection():
            assert len(db.made) == 1


def test_a_steady_connection_is_not_the_pools() -> None:
    with PooledDB(db, maxconnections=1) as pool, pool.connection():
        con = pool.steady_connection()
        assert pool.stats().leased == 1 and con.dbapi_connection is db.made[1]
        con.close()
        assert db.made[1].over


# ---- life


def test_a_connect_that_fails_leaves_nothing_open() -> None:
    db.refuses[:] = [db.OperationalError("no")]
    with pytest.raises(db.OperationalError, match="no"):
        PooledDB(db, 2)
    db.refuses[:] = []
    with PooledDB(db, open=False, mincached=2) as pool:
        assert [con.said for con in db.made] == [["rollback"], ["rollback"]]
        assert pool.stats().idle == 2


def test_the_second_connect_that_fails_closes_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = db.connect

    def once(*args: Any, **kwargs: Any) -> Any:
        if db.made:
            raise db.OperationalError("no more")
        return connect(*args, **kwargs)

    once.threadsafety = 1  # type: ignore[attr-defined]
    with pytest.raises(db.OperationalError, match="no more"):
        PooledDB(once, 2)
    assert [con.over for con in db.made] == [True]
