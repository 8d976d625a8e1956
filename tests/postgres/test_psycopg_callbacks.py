"""The functions that psycopg_pool's drop-ins call: configure, check, reset, and those that give the arguments."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest

from fastpool.adapters.psycopg import PoolTimeout

from ._both import Plain, until

# ---- callbacks


def test_configure_sees_each_new_connection_once(way: Any, dsn: str) -> None:
    seen = []

    def configure(conn: Plain) -> None:
        seen.append(conn.pid)
        conn.execute("set default_transaction_read_only to on")
        way.run(conn.conn.commit())

    with way.opened(way.kept, dsn, min_size=1, configure=way.wrapped(configure)) as pool:
        for _ in range(2):
            with way.block(pool) as conn:
                assert conn.execute("show default_transaction_read_only") == [("on",)]
        assert seen == [conn.pid]
        with way.block(pool) as conn:
            conn.close()
        with way.block(pool) as conn:
            assert seen[1:] == [conn.pid]


@pytest.mark.parametrize(("query", "said"), [("select 1", "INTRANS"), ("wat", "wat")])
def test_failed_configure_is_logged_and_its_connection_discarded(
    way: Any, dsn: str, warned: Any, query: str, said: str
) -> None:
    pool = way.kept(dsn, min_size=1, configure=way.wrapped(lambda conn: conn.execute(query)), open=False)
    way.run(pool.open())
    with pytest.raises(PoolTimeout, match="initialization incomplete after"):
        way.run(pool.wait(timeout=0.5))
    assert pool.closed
    assert said in warned.records[0].message


def test_reset_runs_after_each_lease(way: Any, dsn: str) -> None:
    resets = []

    def reset(conn: Plain) -> None:
        resets.append(conn.pid)
        conn.execute("set timezone to utc")
        way.run(conn.conn.commit())

    with way.opened(way.kept, dsn, min_size=1, max_size=1, reset=way.wrapped(reset)) as pool:
        with way.block(pool) as conn:
            conn.execute("set timezone to '+2:00'")
        until(lambda: len(resets) == 1)
        with way.block(pool) as conn:
            assert conn.execute("show timezone") == [("UTC",)]
        until(lambda: len(resets) == 2)
        way.run(pool.putconn(way.run(pool.getconn())))
        assert len(resets) == 3


@pytest.mark.parametrize(("query", "said"), [("reset all", "INTRANS"), ("wat", "wat")])
def test_failed_reset_is_logged_and_its_connection_discarded(
    way: Any, dsn: str, warned: Any, query: str, said: str
) -> None:
    reset = way.wrapped(lambda conn: conn.execute(query))
    with way.opened(way.kept, dsn, min_size=1, max_size=1, reset=reset) as pool:
        with way.block(pool) as conn:
            pid = conn.pid
        with way.block(pool) as conn:
            assert conn.pid != pid
    assert said in warned.records[0].message
    assert all(record.name == "psycopg.pool" for record in warned.records)


def test_check_runs_at_each_checkout(way: Any, dsn: str) -> None:
    checks = []
    with way.opened(way.kept, dsn, min_size=1, max_size=1, check=way.wrapped(lambda c: checks.append(c.pid))) as pool:
        for number in (1, 2):
            with way.block(pool):
                assert len(checks) == number


def test_connection_that_fails_its_check_is_replaced(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1, check=way.kept.check_connection) as pool:
        with way.block(pool) as conn:
            pid = conn.pid
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [pid])
        with way.block(pool) as conn:
            assert conn.pid != pid
            assert conn.execute("select 1") == [(1,)]
        assert pool.get_stats()["connections_lost"] == 1


def test_connection_that_fails_its_check_is_no_reason_to_warn(
    way: Any, dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="psycopg.pool")
    with way.opened(way.kept, dsn, min_size=1, max_size=1, check=way.kept.check_connection) as pool:
        with way.block(pool) as conn:
            pid = conn.pid
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 10000)", [pid])
        with way.block(pool) as conn:
            assert conn.pid != pid
        told = [record for record in caplog.records if "not serving connection found broken" in record.message]
        assert [record.levelno for record in told] == [logging.INFO]
        assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_check_of_the_pool_warns_of_broken_connections_in_any_case(way: Any, dsn: str, warned: Any) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1, check=way.kept.check_connection) as pool:
        with way.block(pool) as conn:
            pid = conn.pid
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s, 10000)", [pid])
        way.run(pool.check())
        assert [r.message.split(":")[0] for r in warned.records] == ["discarding broken connection"]


def test_check_that_always_fails_ends_with_the_timeout(way: Any, dsn: str) -> None:
    def check(conn: Plain) -> None:
        raise RuntimeError("never good enough")

    with way.opened(way.kept, dsn, min_size=1, max_size=1, check=way.wrapped(check)) as pool:
        with pytest.raises(PoolTimeout), way.block(pool, timeout=1.0):
            pass
        assert pool.get_stats()["connections_num"] < 20, "a new connection is not replaced at once, again and again"


def test_conninfo_and_kwargs_may_be_callables(way: Any, dsn: str) -> None:
    asked = []

    def conninfo() -> str:
        asked.append("conninfo")
        return dsn

    def kwargs() -> dict[str, Any]:
        asked.append("kwargs")
        return {"autocommit": True}

    with way.opened(way.kept, conninfo, kwargs=kwargs, min_size=1) as pool:
        with way.block(pool) as conn:
            assert conn.conn.autocommit
        assert asked == ["conninfo", "kwargs"]


def test_connection_class(way: Any, dsn: str) -> None:
    own = type("Own", (way.connection_class,), {})
    with way.opened(way.kept, dsn, connection_class=own, min_size=1) as pool, way.block(pool) as conn:
        assert isinstance(conn.conn, own)
        assert conn.conn._pool is pool


def test_generic_connection_class_ends_blocks_as_psycopg(way: Any, dsn: str) -> None:
    kind = way.kept[way.connection_class[Any]]
    with way.opened(kind, dsn, connection_class=way.connection_class[Any], min_size=1) as pool:
        with way.block(pool) as conn:
            assert conn.execute("select 1") == [(1,)]
        assert "is_clean" not in vars(pool.psycopg), "it is asked without a call of the connection's own exit"


def test_close_returns_needs_psycopg_3_3(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg, "__version__", "3.2.9")
    with pytest.raises(TypeError, match=r"needs psycopg 3\.3 or newer, and this is 3\.2\.9"):
        way.kept(open=False, close_returns=True)
