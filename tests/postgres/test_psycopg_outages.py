"""psycopg_pool's drop-ins while a real server restarts, ends sessions, is away, or fails over to another one."""

from __future__ import annotations

import contextlib
import select
import time
from typing import Any

import psycopg
import pytest

from fastpool.adapters.psycopg import ConnectionPool, PoolTimeout
from fastpool.adapters.psycopg.base import AttemptWithBackoff
from tests.pool.real_servers import pgbouncer, postgres

from ._both import Plain, in_thread, until

servers_stop = pytest.mark.postgres  # each takes seconds


def end_sessions(dsn: str, pids: list[int]) -> None:
    with psycopg.connect(dsn, autocommit=True) as other:
        for pid in pids:
            other.execute("select pg_terminate_backend(%s, 10000)", [pid])


def test_first_caller_after_a_restart_is_served(way: Any, server: Any) -> None:
    with way.opened(way.kept, server.dsn, min_size=4) as pool:
        way.run(pool.wait())
        old = {conn.info.backend_pid for conn in pool._pool}
        server.stop()
        server.start()
        with way.block(pool) as conn:
            assert conn.execute("select 1") == [(1,)]
            assert conn.pid not in old
        way.run(pool.wait())
        assert not old & {conn.info.backend_pid for conn in pool._pool}


@servers_stop
def test_caller_that_waits_during_an_outage_is_served_at_its_end(way: Any, server: Any) -> None:
    with way.opened(way.kept, server.dsn, min_size=2, check_after=0) as pool:
        way.run(pool.wait())
        server.stop()
        with pytest.raises(PoolTimeout):
            way.run(pool.getconn(timeout=0.2))
        waiter = in_thread(lambda: way.run(pool.getconn()))
        until(lambda: pool.get_stats()["connections_errors"] > 3)
        assert not waiter.done()
        server.start()
        began = time.monotonic()
        conn = waiter.result(30)
        # psycopg_pool's next attempt is made when the pause that it began during the outage is over: 4 s, 8 s, 16 s.
        assert time.monotonic() - began < 3.0
        assert Plain(way, conn).execute("select 1") == [(1,)]
        way.run(pool.putconn(conn))


def test_pauses_between_attempts_double_up_to_five_seconds(monkeypatch: Any) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(AttemptWithBackoff, "DELAY_JITTER", 0.0)
    attempts = AttemptWithBackoff(300.0, None, 5.0)
    pauses = []
    while not attempts.failed("pool", OSError("refused")):
        assert attempts.due(hurry=True) <= 0.1 + 1e-6
        pauses.append(attempts.due(hurry=False))
        now[0] += pauses[-1]
    assert pauses[:5] == pytest.approx([1.0, 2.0, 4.0, 5.0, 5.0])
    assert sum(pauses) == pytest.approx(300.0)


def test_attempts_while_callers_wait_are_logged_once_a_second(monkeypatch: Any, warned: Any) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    attempts = AttemptWithBackoff(300.0, None, 5.0)
    for number in range(25):
        attempts.failed("pool", OSError("refused"), hurried=number > 0)
        now[0] += 0.1
    assert len(warned.records) == 3


@servers_stop
def test_server_away_at_the_beginning(way: Any, server: Any, warned: Any) -> None:
    server.stop()
    failed = []
    given = {"min_size": 2, "reconnect_timeout": 0.5, "reconnect_failed": failed.append, "name": "patient"}
    with way.opened(way.kept, server.dsn, **given) as pool:
        until(lambda: failed == [pool])
        assert pool.get_stats()["pool_size"] == 0
        with pytest.raises(PoolTimeout):
            way.run(pool.getconn(timeout=0.2))
        until(lambda: len(failed) == 2)
        server.start()
        with way.block(pool) as conn:
            assert conn.execute("select 1") == [(1,)]
        way.run(pool.wait())
        assert pool.available == 2
    assert "error connecting in 'patient'" in warned.records[0].message
    assert any("reconnection attempt in pool 'patient' failed after 0.5 sec" in r.message for r in warned.records)
    assert {record.name for record in warned.records} == {"psycopg.pool"}


@servers_stop
def test_wait_gives_up_and_closes(way: Any, server: Any) -> None:
    server.stop()
    pool = way.kept(server.dsn, min_size=1, open=False)
    try:
        with pytest.raises(PoolTimeout, match="initialization incomplete"):
            way.run(pool.open(wait=True, timeout=0.3))
        assert pool.closed
    finally:
        server.start()


def test_ended_idle_session_is_not_handed_out(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=2, check_after=0) as pool:
        way.run(pool.wait())
        end_sessions(dsn, [conn.info.backend_pid for conn in pool._pool])
        for _ in range(4):
            with way.block(pool) as conn:
                assert conn.execute("select 1") == [(1,)]
        assert pool.get_stats()["returns_bad"] == 0
        assert pool.get_stats()["connections_lost"] == 2


def test_session_that_ends_in_a_block_costs_one_connection(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1) as pool:
        with pytest.raises(psycopg.OperationalError), way.block(pool) as conn:
            end_sessions(dsn, [conn.pid])
            conn.execute("select 1")
        with way.block(pool) as conn:
            assert conn.execute("select 1") == [(1,)]
        assert pool.get_stats()["returns_bad"] == 1
        assert len(pool) == 1


def test_transaction_that_was_idle_for_too_long(way: Any, dsn: str) -> None:
    timeout = {"options": "-c idle_in_transaction_session_timeout=100"}
    with way.opened(way.kept, dsn, kwargs=timeout, min_size=1, max_size=1) as pool:
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout), way.block(pool) as conn:
            conn.execute("select 1")
            with psycopg.connect(dsn, autocommit=True) as other:
                gone = "select count(*) from pg_stat_activity where pid = %s"
                until(lambda: other.execute(gone, [conn.pid]).fetchone() == (0,))
        # The block ends without an exception of its own: its commit fails, and the caller is told.
        with way.block(pool) as conn:
            assert conn.execute("select 1") == [(1,)]
        assert pool.get_stats()["returns_bad"] == 1


@servers_stop
def test_failover_by_our_servers(server: Any) -> None:
    with postgres() as second:
        servers = [(server.host, server.port), (second.host, second.port)]
        who = "user=postgres dbname=postgres"
        with ConnectionPool(who, min_size=2, servers=servers, check_after=0) as pool:
            pool.wait()
            with pool.connection() as conn:
                assert conn.execute("select 1").fetchone() == (1,)
            server.stop()
            try:
                for _ in range(4):
                    with pool.connection() as conn:
                        assert conn.info.port == second.port
                        conn.execute("select 1")
            finally:
                server.start()


@servers_stop
def test_failover_by_a_callable_conninfo(way: Any, server: Any) -> None:
    with postgres() as second:
        primary = [server]
        with way.opened(way.kept, lambda: primary[0].dsn, min_size=2, check_after=0) as pool:
            way.run(pool.wait())
            primary[0] = second
            server.stop()
            try:
                with way.block(pool) as conn:
                    assert conn.conn.info.port == second.port
                    assert conn.execute("select 1") == [(1,)]
            finally:
                server.start()


@servers_stop
def test_pgbouncer_between(way: Any, server: Any) -> None:
    """Few connections of the server's serve the pool's; what pgbouncer closes is not handed out."""
    with pgbouncer(server, default_pool_size=2, client_idle_timeout=1) as dsn:
        given = {"kwargs": {"prepare_threshold": None}, "min_size": 4, "check_after": 0}
        with way.opened(way.kept, dsn, **given) as pool, contextlib.ExitStack() as blocks:
            way.run(pool.wait())
            conns = [blocks.enter_context(way.block(pool)) for _ in range(4)]
            backends = set()
            for conn in conns:
                backends.update(conn.execute("select pg_backend_pid()"))
                way.run(conn.conn.commit())
            assert 1 <= len(backends) <= 2
            blocks.close()
            until(lambda: pool.get_stats()["connections_num"] > 4 or all_dead(pool))
            for _ in range(4):
                with way.block(pool) as conn:
                    assert conn.execute("select 1") == [(1,)]
            assert pool.get_stats()["returns_bad"] == 0
        with way.opened(way.null, dsn, max_size=2, kwargs={"prepare_threshold": None}) as pool:
            for _ in range(3):
                with way.block(pool) as conn:
                    assert conn.execute("select 1") == [(1,)]


def all_dead(pool: Any) -> bool:
    """Whether the server has closed every idle connection."""
    idle = pool._pool
    return bool(idle) and all(select.select([conn.fileno()], [], [], 0)[0] for conn in idle)
