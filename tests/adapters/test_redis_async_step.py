"""fastpool.adapters.redis.asyncio: cancellation, and nobody else's reply."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import pytest

pytest.importorskip("redis")

import redis.asyncio

from fastpool.adapters.redis.asyncio import BlockingConnectionPool
from tests.concurrency._told import soon

from ._redis import came, fake, opened, protocol, run
from ._resp import PATIENCE, RespServer, bulk
from ._settle import wait_until_readable

__all__ = ["fake", "protocol"]  # fixtures


# ---- nobody else's reply


def test_an_unread_reply_is_noticed_at_the_checkout(fake: RespServer, protocol: int) -> None:
    async def work() -> None:
        async with opened(fake, protocol=protocol) as pool:
            client = redis.asyncio.Redis(connection_pool=pool)
            for turn in range(3):
                assert await client.get("a") == b"a"
                (idle,) = pool._get_free_connections()
                fake.send_all(bulk("somebody else's"))
                if turn == 0:
                    await came(idle)  # in the stream's buffer; else perhaps still in the socket
                else:
                    wait_until_readable(idle._writer.get_extra_info("socket"))  # the loop cannot read it meanwhile
                assert await client.get("b") == b"b"
            assert pool.stats().connects == 4

    run(work)


def test_a_connection_that_the_server_closed_is_replaced(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake) as pool:
            client = redis.asyncio.Redis(connection_pool=pool)
            await client.ping()
            (idle,) = pool._get_free_connections()
            fake.drop_all()
            await came(idle, 10)
            assert await client.get("a") == b"a"

    run(work)


def test_the_incident_of_2023(fake: RespServer, protocol: int) -> None:
    """A task that is cancelled between sending and reading returns its connection; its reply comes later."""

    async def work() -> None:
        async with opened(fake, protocol=protocol) as pool:
            fake.hold = "theirs"

            async def cancelled_half_way() -> None:
                c = await pool.get_connection()
                try:
                    await c.send_command("GET", "theirs")
                    await asyncio.Event().wait()
                finally:
                    await pool.release(c)

            task = asyncio.ensure_future(cancelled_half_way())
            assert await soon(lambda: fake.held, PATIENCE)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            client = redis.asyncio.Redis(connection_pool=pool)
            mine = asyncio.ensure_future(client.get("mine"))
            fake.answer()
            assert await mine == b"mine"
            assert pool.stats().closed["desync"] == 1

    run(work)


@pytest.mark.parametrize("pipeline", [False, True])
def test_cancelled_commands_at_any_await(fake: RespServer, protocol: int, pipeline: bool) -> None:
    """Every task is cancelled after another number of the loop's turns; those that are not get their own replies."""

    async def work() -> None:
        async with opened(fake, BlockingConnectionPool, max_connections=2, protocol=protocol) as pool:
            client = redis.asyncio.Redis(connection_pool=pool)

            async def ask(key: str) -> Any:
                if pipeline:
                    return await client.pipeline(transaction=False).get(key).get(key).execute()
                return await client.get(key)

            for turns in range(40):
                victim = asyncio.ensure_future(ask(f"victim {turns}"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                victim.cancel()
                keys = [f"{turns}-{number}" for number in range(3)]
                got = await asyncio.gather(*map(ask, keys))
                wanted = [key.encode() for key in keys]
                assert got == ([[key, key] for key in wanted] if pipeline else wanted)
                await asyncio.gather(victim, return_exceptions=True)
            assert pool.stats().leased == 0

    run(work)


def test_a_crowd_that_is_cancelled_at_random(fake: RespServer) -> None:
    async def work() -> None:
        dice = random.Random(2023)
        async with opened(fake, BlockingConnectionPool, max_connections=4, timeout=PATIENCE) as pool:
            client = redis.asyncio.Redis(connection_pool=pool)
            wrong = []

            async def ask(key: str) -> None:
                try:
                    got = await asyncio.wait_for(client.get(key), dice.choice([0.0005, 0.002, PATIENCE]))
                except TimeoutError:
                    return
                if got != key.encode():
                    wrong.append((key, got))

            await asyncio.gather(*(ask(f"key {number}") for number in range(300)))
            assert wrong == []
            assert await soon(lambda: pool.stats().leased == 0, PATIENCE)
            assert await client.get("at last") == b"at last"

    run(work)


def test_a_time_limit_of_the_callers_own_leaves_the_reply_owed(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake) as pool:
            fake.hold = "late"
            c = await pool.get_connection()
            await c.send_command("GET", "late")
            assert await c.read_response(timeout=0.01) is None
            await pool.release(c)
            assert pool.stats().closed["desync"] == 1

    run(work)


def test_notifications_that_came_while_idle_are_left_to_redis_py(fake: RespServer) -> None:
    if not hasattr(redis.asyncio.connection, "AsyncMaintNotificationsAbstractConnection"):
        pytest.skip("this redis-py knows no maintenance notifications for asyncio")
    fake.maintenance = True

    async def work() -> None:
        async with opened(fake, protocol=3) as pool:
            client = redis.asyncio.Redis(connection_pool=pool)
            await client.ping()
            (c,) = pool._get_free_connections()
            assert c._pushes
            heard: list[Any] = []

            async def handle(notification: Any) -> None:
                heard.append(notification)

            c._parser.set_maintenance_push_handler(handle)
            fake.send_all(b">4\r\n+MIGRATING\r\n:1\r\n:10\r\n+0\r\n")
            await came(c)
            assert await client.get("a") == b"a"
            assert (len(heard), pool._get_free_connections()) == (1, [c])
            fake.send_all(bulk("no push"))
            await came(c)
            assert await client.get("b") == b"b"
            assert pool.stats().closed["desync"] == 1

    run(work)


def test_keepalive_pings(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, keepalive=0.05) as pool:
            await pool.release(await pool.get_connection())
            assert await soon(lambda: fake.names().count("PING") >= 2, PATIENCE)

    run(work)


def test_the_time_of_a_checkout_bounds_the_connect() -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and does not answer the handshake
            host, port = silent.getsockname()[:2]
            pool = BlockingConnectionPool(host=host, port=port, timeout=0.1, socket_timeout=PATIENCE)
            with pytest.raises(redis.ConnectionError, match="No connection available"):
                await pool.get_connection()
            await pool.aclose()

    run(work)
