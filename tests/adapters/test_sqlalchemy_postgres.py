"""FastPool and AsyncFastPool on a real PostgreSQL, which is restarted; skipped where it is not installed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("psycopg")

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

import fastpool
from fastpool.adapters.sqlalchemy import AsyncFastPool, FastPool
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import PATIENCE
from tests.pool.real_servers import PostgresServer, postgres
from tests.process._scripts import run

ONE = text("SELECT 1")
PID = text("SELECT pg_backend_pid()")
ASYNC_DRIVERS = ["asyncpg", "psycopg"]


class Server:
    """A PostgreSQL that can be restarted on its port."""

    def __init__(self, server: PostgresServer) -> None:
        self.address = f"{server.host}:{server.port}"
        self.start, self.stop = server.start, server.stop

    def restart(self) -> None:
        self.stop()
        self.start()

    def url(self, driver: str) -> str:
        pytest.importorskip(driver)
        encoding = "" if driver == "asyncpg" else "?client_encoding=utf8"
        return f"postgresql+{driver}://postgres@{self.address}/postgres{encoding}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres(max_prepared_transactions=8) as server:
        yield Server(server)


def use_all(engine: Any, size: int) -> None:
    connections = [engine.connect() for _ in range(size)]
    for c in connections:
        c.scalar(ONE)
    for c in connections:
        c.close()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_after_a_restart_the_first_caller_is_served(server: Server, driver: str) -> None:
    """With pings, and without them if the idle connections have not been used for a moment."""
    pinging = create_engine(server.url(driver), poolclass=FastPool, pool_size=4, pool_pre_ping=True)
    probing = create_engine(server.url(driver), poolclass=FastPool, pool_size=4)
    for engine in (pinging, probing):
        use_all(engine, 4)
    server.stop()
    with pytest.raises(OperationalError):
        pinging.connect()
    server.start()
    with pinging.connect() as c:
        assert c.scalar(ONE) == 1
    with VirtualClock() as clock:
        clock.advance(1)
        use_all(probing, 4)
    assert sum(probing.pool.stats().closed[reason] for reason in ("dead", "desync")) == 4  # type: ignore[attr-defined]
    use_all(pinging, 4)
    for engine in (pinging, probing):
        engine.dispose()


def test_a_backend_that_was_ended_costs_no_caller_anything(server: Server) -> None:
    engine = create_engine(server.url("psycopg"), poolclass=FastPool, pool_size=2, check_after=0)
    with engine.connect() as c, engine.connect() as other:
        victim = c.scalar(PID)
        assert other.scalar(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": victim}) is True
        c.invalidate()
    for _ in range(4):
        with engine.connect() as c:
            assert c.scalar(PID) != victim
    engine.dispose()


def test_two_phase(server: Server) -> None:
    engine = create_engine(server.url("psycopg"), poolclass=FastPool, pool_size=1, max_overflow=0)
    with engine.begin() as c:
        c.execute(text("CREATE TABLE IF NOT EXISTS phases (n int)"))
    with engine.connect() as c:
        transaction = c.begin_twophase("first")
        c.execute(text("INSERT INTO phases VALUES (1)"))
        transaction.prepare()
    with engine.connect() as c:
        assert c.scalar(text("SELECT count(*) FROM phases")) == 0
        prepared = c.recover_twophase()
    for xid in prepared:
        with engine.connect() as c:
            c.commit_prepared(xid, recover=True)
    with engine.connect() as c:
        transaction = c.begin_twophase("second")
        c.execute(text("INSERT INTO phases VALUES (2)"))
        transaction.rollback()
        assert c.scalars(text("SELECT n FROM phases")).all() == ([1] if prepared else [])
    assert engine.pool.stats().connects == 1  # type: ignore[attr-defined]
    engine.dispose()


def test_an_open_transaction_is_rolled_back_on_return(server: Server) -> None:
    engine = create_engine(server.url("psycopg"), poolclass=FastPool, pool_size=1, max_overflow=0)
    with engine.connect() as c:
        c.execute(text("CREATE TABLE never (n int)"))
    with engine.connect() as c:
        assert c.scalar(text("SELECT count(*) FROM pg_tables WHERE tablename = 'never'")) == 0
    engine.dispose()


def test_servers(server: Server) -> None:
    """The connections go where `servers` says, and one that is away is left alone."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        engine = create_engine(
            server.url("psycopg").replace(server.address, "nowhere.invalid"), poolclass=FastPool, pool_size=3,
            servers=["{}:{}".format(*deaf.getsockname()), server.address], backoff=(60, 60),
        )  # fmt: skip
        use_all(engine, 3)
        pool: Any = engine.pool
        assert len(pool._pool.connector.states()) == 1
        engine.dispose()


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_tasks_after_a_restart(server: Server, driver: str) -> None:
    url = server.url(driver)

    async def main() -> None:
        engine = create_async_engine(url, poolclass=AsyncFastPool, pool_size=4, max_overflow=0, pool_pre_ping=True)

        async def ask() -> int:
            async with engine.connect() as c:
                result: int = await c.scalar(ONE)
                return result

        assert await asyncio.gather(*(ask() for _ in range(40))) == [1] * 40
        pool: Any = engine.pool
        assert (pool.checkedin(), pool.stats().connects) == (4, 4)
        await asyncio.to_thread(server.restart)
        assert await ask() == 1
        assert await asyncio.gather(*(ask() for _ in range(40))) == [1] * 40
        await engine.dispose()
        assert pool.checkedin() == 0

    asyncio.run(asyncio.wait_for(main(), PATIENCE * 2))


@pytest.mark.parametrize("driver", ASYNC_DRIVERS)
def test_a_cancelled_query_costs_no_other_task_anything(server: Server, driver: str) -> None:
    """SQLAlchemy closes the connection of a cancelled query; the next task has another."""
    url = server.url(driver)
    running = text("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT -%pg_sleep%'")

    async def main(engine: AsyncEngine, other: AsyncEngine) -> None:
        async def ask(number: int, seconds: float = 0) -> int:
            async with engine.connect() as c:
                result: int = await c.scalar(text(f"SELECT {number} FROM pg_sleep({seconds})"))
                return result

        for number in range(3):
            slow = asyncio.create_task(ask(-1, PATIENCE))
            async with other.connect() as c:
                while not await c.scalar(running):
                    await asyncio.sleep(0.01)
            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            assert await ask(number) == number

    async def with_engines() -> None:
        engine = create_async_engine(url, poolclass=AsyncFastPool, pool_size=1, max_overflow=0)
        other = create_async_engine(url, poolclass=AsyncFastPool, isolation_level="AUTOCOMMIT")
        try:
            await asyncio.wait_for(main(engine, other), PATIENCE * 2)
        finally:
            await engine.dispose()
            await other.dispose()

    asyncio.run(with_engines())


def test_greenlets(server: Server) -> None:
    """gevent, patched: forty greenlets on four connections wait in line, and all of them are served."""
    pytest.importorskip("gevent")
    said = run(
        """
        from gevent import monkey
        monkey.patch_all()
        import sys
        import gevent
        from sqlalchemy import create_engine, text
        from fastpool.adapters.sqlalchemy import FastPool

        engine = create_engine(sys.argv[1], poolclass=FastPool, pool_size=4, max_overflow=0, pool_timeout=20)
        ticks = 0

        def tick():
            global ticks
            while True:
                gevent.sleep(0.01)
                ticks += 1

        def ask(number):
            with engine.connect() as c:
                assert c.scalar(text(f"SELECT {number} FROM pg_sleep(0.01)")) == number
            return number

        ticker = gevent.spawn(tick)
        jobs = [gevent.spawn(ask, number) for number in range(40)]
        gevent.joinall(jobs, timeout=30, raise_error=True)
        assert [job.value for job in jobs] == list(range(40))
        ticker.kill()
        stats = engine.pool.stats()
        assert (stats.connects, stats.waits >= 30, engine.pool.checkedin()) == (4, True, 4), stats
        assert ticks > 3, ticks
        engine.dispose()
        print("well")
        """,
        server.url("psycopg"),
    )
    assert said.strip() == "well"


def test_a_forked_child_has_connections_of_its_own(server: Server) -> None:
    said = run(
        """
        import os, sys
        from sqlalchemy import create_engine, text
        from fastpool.adapters.sqlalchemy import FastPool

        engine = create_engine(sys.argv[1], poolclass=FastPool, pool_size=2)
        pid = text("SELECT pg_backend_pid()")
        with engine.connect() as c:
            parents = c.scalar(pid)
        child = os.fork()
        if child == 0:
            with engine.connect() as c:
                assert c.scalar(pid) != parents
            engine.dispose()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with engine.connect() as c:
            assert c.scalar(pid) == parents
        engine.dispose()
        print("well")
        """,
        server.url("psycopg"),
    )
    assert said.strip() == "well"


def test_a_caller_gets_the_databases_own_error_where_it_refuses(server: Server) -> None:
    engine = create_engine(server.url("psycopg").replace("/postgres?", "/missing?"), poolclass=FastPool)
    with pytest.raises(OperationalError, match='database "missing" does not exist'):
        engine.connect()
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with pytest.raises(fastpool.PoolClosed):
        engine.pool.close()  # type: ignore[attr-defined]
        engine.connect()
