"""fastpool.adapters.redis: arguments, fastpool's options, and what a server sends by itself."""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

import fastpool
from fastpool.adapters.redis import AllServersUnavailable, BlockingConnectionPool, ConnectionPool
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import until

from ._redis import Make, fake, make
from ._resp import PATIENCE, RespServer, bulk

__all__ = ["fake", "make"]  # fixtures


# ---- arguments


@pytest.mark.parametrize("given", [-1, "many", 1.5])
def test_a_bad_max_connections(given: Any) -> None:
    with pytest.raises(ValueError, match='"max_connections" must be a positive integer'):
        ConnectionPool(max_connections=given)


def test_sizes() -> None:
    assert ConnectionPool(max_connections=2**31).config.max_size == 65535
    default = redis.ConnectionPool().max_connections
    assert ConnectionPool().config.max_size == min(default, 65535)
    assert BlockingConnectionPool().config.max_size == 50
    assert BlockingConnectionPool().timeout == 20
    with pytest.raises(TypeError, match="max_size is called max_connections"):
        ConnectionPool(max_size=3)


@pytest.mark.parametrize(
    ("queue_class", "order"),
    [(queue.LifoQueue, "lifo"), (queue.Queue, "fifo"), (queue.SimpleQueue, "fifo")],
)
def test_a_queue_class_is_an_order(queue_class: Any, order: str) -> None:
    assert BlockingConnectionPool(queue_class=queue_class).config.order == order


def test_bad_arguments() -> None:
    with pytest.raises(TypeError, match="queue_class must be a class"):
        BlockingConnectionPool(queue_class=queue.Queue())
    with pytest.raises(ValueError, match="min_size"):
        ConnectionPool(max_connections=2, min_size=3)
    with pytest.raises(ValueError, match="timeout"):
        BlockingConnectionPool(timeout=-1)
    with pytest.raises(ValueError, match=r"servers=.* cannot be given with UnixDomainSocketConnection, whose path"):
        ConnectionPool.from_url("unix:///a/socket", servers=["here:1"])


# ---- fastpool's options


def test_min_size_is_opened_and_kept(make: Make, fake: RespServer) -> None:
    pool = make(min_size=2)
    assert len(pool) == 2 == fake.accepted
    fake.drop_all()
    for c in [pool.get_connection(), pool.get_connection()]:
        c.send_command("PING")
        assert c.read_response() == b"PONG"
        pool.release(c)
    until(lambda: len(pool) >= 2)


def test_idle_limits_and_ages(make: Make) -> None:
    with VirtualClock() as clock:
        pool = make(idle_timeout=10, max_lifetime=100, max_uses=3)
        c = pool.get_connection()
        pool.release(c)
        clock.advance(11)
        assert pool.get_connection() is not c
        assert pool.stats().closed["idle"] == 1


def test_a_pool_that_does_not_wait_can_be_told_to(make: Make) -> None:
    pool = make(max_connections=1, timeout=PATIENCE)
    c = pool.get_connection()
    threading.Timer(0.01, pool.release, (c,)).start()
    assert pool.get_connection() is c


def test_several_servers(fake: RespServer) -> None:
    other = RespServer()
    try:
        pool = ConnectionPool(servers=[(fake.host, fake.port), (other.host, other.port)], backoff=(0.01, 0.01))
        held = [pool.get_connection() for _ in range(4)]
        assert (fake.accepted, other.accepted) == (2, 2)
        assert {c.port for c in held} == {fake.port, other.port}
        other.close()
        pool.disconnect()
        for c in held:
            pool.release(c)
        assert {pool.get_connection().port for _ in range(4)} == {fake.port}
        fake.close()
        with pytest.raises(redis.ConnectionError) as caught:
            [pool.get_connection() for _ in range(5)]
        assert isinstance(caught.value, AllServersUnavailable) and isinstance(
            caught.value, fastpool.AllServersUnavailable
        )
        pool.close()
    finally:
        other.close()


def test_a_single_server_that_refuses(make: Make, fake: RespServer) -> None:
    pool = make()
    fake.close()
    with pytest.raises(redis.ConnectionError, match=r"Error 111|refused|10061"):
        pool.get_connection()
    assert pool.stats().connect_errors == 1


def test_keepalive_pings(make: Make, fake: RespServer) -> None:
    pool = make(keepalive=0.05)
    pool.release(pool.get_connection())
    fake.until(lambda: fake.names().count("PING") >= 2)


def test_the_time_of_a_checkout_bounds_the_connect(fake: RespServer) -> None:
    """A server that accepts, and does not answer the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()[:2]
        pool = BlockingConnectionPool(host=host, port=port, timeout=0.1, socket_timeout=PATIENCE)
        began = time.monotonic()
        with pytest.raises(redis.RedisError):
            pool.get_connection()
        assert time.monotonic() - began < PATIENCE / 2
    pool.close()


def test_its_own_timeouts_are_back_after_the_connect(make: Make) -> None:
    pool = make(BlockingConnectionPool, timeout=3, socket_timeout=50, socket_connect_timeout=40)
    c = pool.get_connection()
    assert (c.socket_timeout, c.socket_connect_timeout, c._sock.gettimeout()) == (50, 40, 50)


# ---- pushes


def test_a_notification_that_came_while_idle_is_handled(fake: RespServer) -> None:
    if not hasattr(redis.connection, "MaintNotificationsAbstractConnection"):
        pytest.skip("this redis-py knows no maintenance notifications")
    fake.maintenance = True
    pool = ConnectionPool(host=fake.host, port=fake.port, protocol=3)
    c = pool.get_connection()
    assert c._pushes
    heard: list[Any] = []
    c._parser.set_maintenance_push_handler(heard.append)
    pool.release(c)
    fake.send_all(b">4\r\n+MIGRATING\r\n:1\r\n:10\r\n+0\r\n")
    until(lambda: c.can_read(0))
    assert pool.get_connection() is c
    assert len(heard) == 1
    pool.release(c)
    fake.send_all(bulk("no push"))
    until(lambda: c.can_read(0))
    assert pool.get_connection() is not c
    pool.close()


def test_the_cache_hears_of_invalid_keys_while_idle(fake: RespServer, monkeypatch: Any) -> None:
    cache = pytest.importorskip("redis.cache")
    from redis.connection import CacheProxyConnection

    monkeypatch.setattr(CacheProxyConnection, "connect", lambda self: self._conn.connect())
    pool = ConnectionPool(host=fake.host, port=fake.port, protocol=3, cache_config=cache.CacheConfig())
    client = redis.Redis(connection_pool=pool)
    assert [client.get("a") for _ in range(3)] == [b"a"] * 3
    assert fake.names().count("GET") == 1
    c = pool.get_connection()
    assert isinstance(c, CacheProxyConnection)
    pool.release(c)
    fake.send_all(b">2\r\n+invalidate\r\n*1\r\n+a\r\n")
    until(lambda: c.can_read(0))
    assert client.get("a") == b"a"
    assert (fake.names().count("GET"), pool.stats().connects) == (2, 1)
    pool.close()


def test_a_connect_waits_while_redis_py_changes_the_arguments(make: Make) -> None:
    pool = make(BlockingConnectionPool)
    with pool._lock:
        pool._in_maintenance = True
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(pool.get_connection()))
        thread.start()
        until(lambda: pool.stats().connecting == 1)
        pool.connection_kwargs["client_name"] = "moved"
        pool._in_maintenance = False
    thread.join(PATIENCE)
    assert got[0].client_name == "moved"
