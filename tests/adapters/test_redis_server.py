"""fastpool.adapters.redis with a real Redis: what clients do with a pool, restarts, killed connections."""

from __future__ import annotations

import asyncio
import functools
import signal
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio

from fastpool.adapters.redis import BlockingConnectionPool, ConnectionPool
from fastpool.adapters.redis import asyncio as adapter
from tests.pool.fake_driver import until
from tests.pool.real_servers import free_port, redis_server

from ._redis import address

__all__ = ["address"]  # a fixture

PATIENCE = 30


@pytest.fixture
def where(address: tuple[str, int]) -> dict[str, Any]:
    with redis.Redis(*address) as client:
        client.flushall()
    return {"host": address[0], "port": address[1]}


@pytest.fixture
def pool(where: dict[str, Any]) -> Iterator[BlockingConnectionPool]:
    pool = BlockingConnectionPool(max_connections=4, timeout=PATIENCE, **where)
    yield pool
    pool.close()


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work(), PATIENCE)

    return asyncio.run(bounded())


# ---- what clients do with a pool


def test_commands_pipelines_and_transactions(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool, decode_responses=True)
    client.set("a", 1)
    assert client.pipeline(transaction=False).incr("a").incr("a").get("a").execute() == [2, 3, b"3"]
    assert client.pipeline().set("b", "x").get("b").execute() == [True, b"x"]
    with pytest.raises(redis.ResponseError):
        client.pipeline().lpush("b", 1).get("b").execute()
    assert client.get("b") == b"x"
    assert pool.stats().connects == 1


def test_a_watched_key_that_changed(pool: Any) -> None:
    client, other = redis.Redis(connection_pool=pool), redis.Redis(connection_pool=pool)
    with client.pipeline() as pipe:
        pipe.watch("key")
        other.set("key", "other")
        pipe.multi()
        pipe.set("key", "mine")
        with pytest.raises(redis.WatchError):
            pipe.execute()
    assert client.get("key") == b"other"
    assert client.transaction(lambda pipe: pipe.multi() or pipe.set("key", "mine"), "key") == [True]
    assert pool.stats().leased == 0


def test_publish_and_subscribe(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool)
    with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("news", "weather")
        until(lambda: client.publish("news", "hello"))
        until(lambda: (pubsub.get_message(timeout=1) or {}).get("data") == b"hello")
    assert pool.stats().leased == 0
    assert [client.get("a") for _ in range(3)] == [None] * 3


def test_blocking_commands(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool)
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(client.blpop("queue", PATIENCE))) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: pool.stats().leased == 3)
    client.rpush("queue", "a", "b", "c")
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(got) == [(b"queue", b"a"), (b"queue", b"b"), (b"queue", b"c")]
    assert client.blpop("queue", 0.01) is None
    assert pool.stats().leased == 0


def test_a_blocked_command_that_is_left_is_nobody_elses(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool)
    c = pool.get_connection()
    c.send_command("BLPOP", "queue", 0)
    until(lambda: any("blpop" in one["cmd"] for one in client.client_list()))
    pool.release(c)
    client.rpush("queue", "x")
    assert [client.get("a") for _ in range(5)] == [None] * 5
    assert pool.stats().closed["desync"] == 1


def test_scripts_locks_and_scans(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool)
    assert client.register_script("return ARGV[1]")(args=["x"]) == b"x"
    with client.lock("lock", timeout=PATIENCE):
        assert client.exists("lock")
    client.mset({f"key:{number}": number for number in range(50)})
    assert len(list(client.scan_iter("key:*"))) == 50
    with client.monitor() as monitor:
        client.ping()
        monitor.next_command()
    assert client.ping() and pool.stats().leased == 0


def test_threads_share_a_few_connections(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool)

    def work(number: int) -> None:
        for turn in range(50):
            client.set(f"{number}", turn)
            assert client.get(f"{number}") == str(turn).encode()
            client.incr("all")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert client.get("all") == b"800"
    assert pool.stats().connects <= 4


# ---- what may happen to a connection


def test_connections_that_the_server_killed(pool: Any, where: dict[str, Any]) -> None:
    client = redis.Redis(connection_pool=pool)
    held = [pool.get_connection() for _ in range(3)]
    for c in held:
        pool.release(c)
    with redis.Redis(**where) as other:
        other.client_kill_filter(_type="normal", skipme=True)
    assert client.set("a", 1) and client.get("a") == b"1"
    assert pool.stats().closed["dead"] >= 1


def test_an_unread_reply_is_noticed_at_every_checkout(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool)
    client.mset({"theirs": "theirs", "mine": "mine"})
    for _ in range(3):
        (idle,) = pool._get_free_connections()
        idle._sock.sendall(b"GET theirs\r\n")  # behind its back
        until(functools.partial(idle.can_read, 0))  # which takes it from the socket into the parser's buffer
        assert client.get("mine") == b"mine"
    assert pool.stats().connects == 4


def test_a_restart_with_all_idle_connections_stale() -> None:
    port = free_port()
    pool = ConnectionPool(host="127.0.0.1", port=port, max_connections=8)
    client = redis.Redis(connection_pool=pool)
    with redis_server(port):
        held = [pool.get_connection() for _ in range(8)]
        for c in held:
            pool.release(c)
    with pytest.raises(redis.ConnectionError):
        client.ping()
    with redis_server(port):
        assert client.ping()  # the first caller is served
        assert pool.stats().leased == 0
        for c in [pool.get_connection() for _ in range(8)]:
            c.send_command("PING")
            assert c.read_response() == b"PONG"
            pool.release(c)
    pool.close()


# ---- asyncio


def test_tasks_and_their_cancellation(where: dict[str, Any]) -> None:
    async def work() -> None:
        pool = adapter.BlockingConnectionPool(max_connections=3, timeout=PATIENCE, **where)
        client = redis.asyncio.Redis(connection_pool=pool)
        await client.mset({f"key {number}": number for number in range(40)})
        for turns in range(40):
            victim = asyncio.ensure_future(client.blpop("nothing", 0) if turns % 4 == 0 else client.get("key 39"))
            for _ in range(turns):
                await asyncio.sleep(0)
            victim.cancel()
            numbers = range(6)
            got = await asyncio.gather(*(client.get(f"key {number}") for number in numbers))
            assert got == [str(number).encode() for number in numbers]
            await asyncio.gather(victim, return_exceptions=True)
        assert await client.pipeline().incr("n").incr("n").execute() == [1, 2]
        async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe("news")
            while not await client.publish("news", "hello"):
                await asyncio.sleep(0.01)
            while not await pubsub.get_message(timeout=1):
                pass
        assert pool.stats().leased == 0
        await client.aclose()
        await pool.aclose()

    run(work)


def test_the_incident_of_2023_with_a_real_server(where: dict[str, Any]) -> None:
    """A reply that comes after its task was cancelled, and after the connection went on to another."""

    async def work() -> None:
        pool = adapter.ConnectionPool(**where)
        client = redis.asyncio.Redis(connection_pool=pool)
        await client.set("mine", "mine")

        async def half_way() -> None:
            c = await pool.get_connection()
            try:
                await c.send_command("BLPOP", "theirs", 0)
                await asyncio.Event().wait()
            finally:
                await pool.release(c)

        task = asyncio.ensure_future(half_way())
        while not any("blpop" in one["cmd"] for one in await client.client_list()):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.rpush("theirs", "theirs")
        assert await asyncio.gather(*(client.get("mine") for _ in range(5))) == [b"mine"] * 5
        assert pool.stats().closed["desync"] == 1
        await pool.aclose()

    run(work)


def test_a_signal_handler_that_raises_in_a_command(pool: Any) -> None:
    client = redis.Redis(connection_pool=pool)
    client.set("mine", "mine")
    # redis-py's client loses a connection if it is struck between its checkout and the `try` after it, or on its way to
    # release(): there, in a finalizer, which ignores exceptions, and in this function the strike comes a moment later.
    spared = {"execute_command", "_execute_command", "release", test_a_signal_handler_that_raises_in_a_command.__name__}
    armed, struck = False, 0

    def strike(number: int, frame: Any) -> None:
        nonlocal struck
        names = [frame.f_code.co_name for frame, _ in traceback.walk_stack(frame)]
        if armed and (names[0] in spared or "__del__" in names):
            signal.setitimer(signal.ITIMER_REAL, 0.00005)
        elif armed:
            struck += 1
            raise TimeoutError("struck")

    before = signal.signal(signal.SIGALRM, strike)
    try:
        for turn in range(30):
            armed = True
            signal.setitimer(signal.ITIMER_REAL, 0.0002 * (1 + turn % 6))
            try:
                client.blpop("theirs", 0) if turn % 2 else [client.get("theirs") for _ in range(200)]
            except (TimeoutError, redis.RedisError):
                pass
            finally:
                armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert client.get("mine") == b"mine"
    finally:
        signal.signal(signal.SIGALRM, before)
    assert struck >= 15, "each blpop at least"
    assert pool.stats().leased == 0
