"""Tasks that are cancelled at any moment lose no connection of psycopg_pool's drop-in."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg
import pytest

from fastpool.adapters.psycopg import AsyncConnectionPool


def test_cancelled_tasks_lose_no_connection(dsn: str) -> None:
    chance = random.Random(2026)

    async def work(pool: AsyncConnectionPool[Any]) -> None:
        async with pool.connection() as conn:
            await conn.execute("select pg_sleep(0.001)")
        conn = await pool.getconn()
        try:
            await conn.execute("select 1")
        finally:
            await pool.putconn(conn)

    async def main() -> None:
        async with AsyncConnectionPool(dsn, min_size=2, max_size=4, check=AsyncConnectionPool.check_connection) as pool:
            for _ in range(15):
                tasks = [asyncio.create_task(work(pool)) for _ in range(20)]
                for task in chance.sample(tasks, 15):
                    await asyncio.sleep(chance.random() * 0.002)
                    task.cancel()
                await asyncio.wait(tasks)
                assert [task for task in tasks if not task.cancelled() and task.exception()] == []
            conns = [await pool.getconn(timeout=10.0) for _ in range(4)]
            assert len({conn.info.backend_pid for conn in conns}) == 4
            for conn in conns:
                assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
                await pool.putconn(conn)
            assert pool.stats().leased == 0

    asyncio.run(main())


def test_cancelled_wait_for_a_connection_under_way_loses_nothing(server: Any) -> None:
    async def main() -> None:
        async with AsyncConnectionPool(server.dsn, min_size=1, max_size=1) as pool:
            conn = await pool.getconn()
            for _ in range(50):
                waiter = asyncio.create_task(pool.getconn())
                while not pool._waiting:
                    await asyncio.sleep(0)
                await pool.putconn(conn)  # it is handed to the waiter, which has not run yet
                waiter.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiter
                conn = await pool.getconn(timeout=10.0)
            await pool.putconn(conn)
            assert pool.available == 1

    asyncio.run(main())
