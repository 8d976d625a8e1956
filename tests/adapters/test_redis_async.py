"""fastpool.adapters.redis.asyncio: redis.asyncio's interface."""

from __future__ import annotations

import asyncio
import pickle
from functools import partial
from typing import Any

import pytest

pytest.importorskip("redis")

import redis.asyncio

import fastpool
from fastpool import _registry
from fastpool.adapters.redis.asyncio import BlockingConnectionPool, ConnectionPool, MaxConnectionsError, NotInUse
from tests.concurrency._told import soon

from ._redis import AsyncOwn, fake, opened, protocol, run
from ._resp import PATIENCE, RespServer

__all__ = ["fake", "protocol"]  # fixtures


# ---- redis-py's interface


def test_it_is_redis_pys_pool_and_fastpools(fake: RespServer, protocol: int) -> None:
    async def work() -> None:
        for kind, theirs in (
            (ConnectionPool, redis.asyncio.ConnectionPool),
            (BlockingConnectionPool, redis.asyncio.BlockingConnectionPool),
        ):
            async with opened(fake, kind, protocol=protocol) as pool:
                assert isinstance(pool, theirs) and isinstance(pool, fastpool.AsyncPool)
                client = redis.asyncio.Redis(connection_pool=pool)
                assert [await client.get(key) for key in "ab"] == [b"a", b"b"]
                assert await client.pipeline(transaction=False).get("c").get("d").execute() == [b"c", b"d"]
                assert await client.pipeline().get("e").execute() == [b"e"]
                assert pool.stats().connects == 1
                c = await pool.get_connection("GET", "key")
                assert isinstance(c, redis.asyncio.Connection)
                assert type(c).__name__ == "Connection"
                await pool.release(c)

    run(work)


def test_max_connections_is_reached_at_once(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, max_connections=1) as pool:
            assert pool.can_get_connection()
            c = await pool.get_connection()
            assert not pool.can_get_connection()
            with pytest.raises(MaxConnectionsError, match=r"^Too many connections") as caught:
                await pool.get_connection()
            assert isinstance(caught.value, MaxConnectionsError)
            assert isinstance(caught.value, fastpool.NoConnectionsAvailable)
            await pool.release(c)
            assert await pool.get_connection() is c

    run(work)


def test_max_connections_may_be_set(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, max_connections=1) as pool:
            await pool.get_connection()
            pool.max_connections = 2
            assert (pool.max_connections, pool.config.max_size) == (2, 2)
            await pool.get_connection()
            with pytest.raises(MaxConnectionsError) as caught:
                await pool.get_connection()
            assert "MaxConnectionsError" in repr(caught.value)

    run(work)


def test_a_blocking_pool_waits_and_gives_up(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, BlockingConnectionPool, max_connections=1, timeout=PATIENCE) as pool:
            c = await pool.get_connection()
            waiting = asyncio.ensure_future(pool.get_connection())
            assert await soon(lambda: pool.stats().waiting > 0, PATIENCE)
            await pool.release(c)
            assert await waiting is c
            pool.timeout = 0.01
            with pytest.raises(redis.ConnectionError, match=r"^No connection available\."):
                await pool.get_connection()

    run(work)


def test_what_is_not_out_cannot_be_returned(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake) as pool:
            c = await pool.get_connection()
            await pool.release(c)
            for error in (KeyError, fastpool.LeaseError, NotInUse):
                with pytest.raises(error, match="was already returned"):
                    await pool.release(c)

    run(work)


def test_close_closes_all_and_the_pool_can_be_used_again(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, min_size=1) as pool:
            idle, held = await pool.get_connection(), await pool.get_connection()
            await pool.release(idle)
            await pool.disconnect(inuse_connections=False)
            assert (idle.is_connected, held.is_connected) == (False, True)
            await pool.aclose()
            assert (held.is_connected, pool.closed, pool.keeping) == (False, False, None)
            await pool.release(held)
            assert len(pool) == 0
            assert await redis.asyncio.Redis(connection_pool=pool).get("a") == b"a"

    run(work)


def test_close_waits_if_it_is_told_to(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake) as pool:
            c = await pool.get_connection()
            closing = asyncio.ensure_future(pool.close(PATIENCE))
            await asyncio.sleep(0.01)
            assert c.is_connected
            await pool.release(c)
            await closing
            assert len(pool) == 0

    run(work)


def test_reset_leaves_what_is_out_to_its_holder(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, max_connections=1) as pool:
            held = await pool.get_connection()
            pool.reset()
            other = await pool.get_connection()
            assert held.is_connected and other is not held
            await pool.release(held)
            await pool.release(other)
            assert pool._get_free_connections() == [other]
            await held.disconnect()

    run(work)


@pytest.mark.parametrize("check_after", [0, 60.0])
@pytest.mark.parametrize("how", ["disconnect", "mark_for_reconnect"])
def test_one_that_was_disconnected_is_not_kept(fake: RespServer, how: str, check_after: float) -> None:
    async def work() -> None:
        async with opened(fake, max_connections=1, check_after=check_after) as pool:
            held = await pool.get_connection()
            result = getattr(held, how)()
            if result is not None:
                await result
            await pool.release(held)
            assert len(pool) == 0

    run(work)


def test_one_that_was_connected_again_is_kept(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, max_connections=1) as pool:
            held = await pool.get_connection()
            await held.disconnect()
            await held.send_command("GET", "a")
            assert await held.read_response() == b"a"
            await pool.release(held)
            assert pool._get_free_connections() == [held] and await pool.get_connection() is held
            await pool.release(held)

    run(work)


def has_come(c: Any) -> bool:
    return bool(c._reader._buffer)


def test_an_unread_reply_is_noticed_at_every_checkout(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, max_connections=1) as pool:
            held = await pool.get_connection()
            for _ in range(3):
                await held.send_command("GET", "a")
                assert await soon(partial(has_come, held))
                held._owed, held._sending = 0, 0
                held._entry.renewed()  # as if nothing was counted: only the look can find it
                await pool.release(held)
                other = await pool.get_connection()
                assert other is not held
                held = other
            await pool.release(held)
            assert pool.stats().closed["desync"] == 3

    run(work)


def test_loops_one_after_another(fake: RespServer) -> None:
    pool = ConnectionPool(host=fake.host, port=fake.port)

    async def work() -> Any:
        client = redis.asyncio.Redis(connection_pool=pool)
        assert await client.get("a") == b"a"
        c = pool._get_free_connections()[-1]
        await pool.disconnect()
        return c

    assert run(work) is not run(work)


def test_what_it_says_of_itself(fake: RespServer) -> None:
    pool = BlockingConnectionPool.from_url("redis://ann:secret@here:7000/2?max_connections=5&timeout=3", name="url")
    assert (pool.max_connections, pool.timeout, pool.config.max_size, pool.name) == (5, 3.0, 5, "url")
    assert "secret" not in repr(pool) and "host=here" in repr(pool)
    assert repr(pool).startswith("<fastpool.adapters.redis.asyncio.BlockingConnectionPool(<redis.asyncio.connection.")
    assert [count for count, _ in pool.get_connection_count()] == [0, 0]
    arrived = _registry._new(*pickle.loads(pickle.dumps(_registry.pack(pool)[1][:3])))
    assert (arrived.max_connections, arrived.timeout) == (5, 3.0)


def test_redis_pys_listeners_hear_of_releases(fake: RespServer) -> None:
    event = pytest.importorskip("redis.event")
    heard: list[Any] = []

    class Listener:
        async def listen(self, event: Any) -> None:
            heard.append(event.connection)

    if not hasattr(event.EventDispatcher, "register_listeners"):
        pytest.skip("listeners cannot be added in redis-py before 7")
    dispatcher = event.EventDispatcher({event.AsyncAfterConnectionReleasedEvent: [Listener()]})

    async def work() -> None:
        async with opened(fake, event_dispatcher=dispatcher) as pool:
            c = await pool.get_connection()
            await pool.release(c)
            with pytest.raises(KeyError):
                await pool.release(c)
            assert heard == [c]

    run(work)


def test_a_new_token_replaces_all_connections(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake) as pool:
            idle, held = await pool.get_connection(), await pool.get_connection()
            await pool.release(idle)
            await pool.re_auth_callback(None)
            await pool.release(held)
            assert pool.stats().closed["cleared"] == 2

    run(work)


# ---- connections of another kind


def test_a_connection_class_of_the_users_own_is_asked_itself() -> None:
    async def work() -> None:
        pool = ConnectionPool(connection_class=AsyncOwn)
        c = await pool.get_connection()
        await pool.release(c)
        assert await pool.get_connection() is c
        await pool.release(c)
        c.unread = True
        other = await pool.get_connection()
        assert other is not c
        await pool.release(other)
        other.is_connected = False
        assert await pool.get_connection() is not other

    run(work)
