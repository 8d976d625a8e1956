"""fastpool.adapters.redis.asyncio: redis.asyncio's interface, cancellation, and nobody else's reply."""

from __future__ import annotations

import asyncio
import pickle
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("redis")

import redis.asyncio

import fastpool
from fastpool import _registry
from fastpool.adapters.redis.asyncio import (
    BlockingConnectionPool,
    ConnectionPool,
    MaxConnectionsError,
    NotInUse,
)

from ._resp import PATIENCE, RespServer, bulk


@pytest.fixture
def fake() -> Iterator[RespServer]:
    server = RespServer()
    yield server
    server.close()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work(), PATIENCE)

    return asyncio.run(bounded())


@asynccontextmanager
async def opened(fake: RespServer, kind: Any = ConnectionPool, **kwargs: Any) -> AsyncIterator[Any]:
    pool = kind(**{"host": fake.host, "port": fake.port} | kwargs)
    try:
        yield pool
    finally:
        await pool.aclose()


async def came(c: Any, least: int = 1) -> None:
    """Wait until the loop has read so many bytes, or (0) the end."""
    while len(c._reader._buffer) < least and not c._reader.at_eof():
        await asyncio.sleep(0.001)


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


def test_a_blocking_pool_waits_and_gives_up(fake: RespServer) -> None:
    async def work() -> None:
        async with opened(fake, BlockingConnectionPool, max_connections=1, timeout=PATIENCE) as pool:
            c = await pool.get_connection()
            waiting = asyncio.ensure_future(pool.get_connection())
            while not pool.stats().waiting:
                await asyncio.sleep(0.001)
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


class Own:
    def __init__(self, **kwargs: Any) -> None:
        self.is_connected = False
        self.unread = False

    async def connect(self) -> None:
        self.is_connected = True

    async def disconnect(self) -> None:
        self.is_connected = False

    async def can_read(self) -> bool:
        return self.unread

    async def can_read_destructive(self) -> bool:
        return self.unread


def test_a_connection_class_of_the_users_own_is_asked_itself() -> None:
    async def work() -> None:
        pool = ConnectionPool(connection_class=Own)
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
                    time.sleep(0.05)  # the loop cannot read it meanwhile
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
            while not fake.held:
                await asyncio.sleep(0.001)
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
            while pool.stats().leased:
                await asyncio.sleep(0.001)
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
            while fake.names().count("PING") < 2:
                await asyncio.sleep(0.01)

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
