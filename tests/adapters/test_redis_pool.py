"""fastpool.adapters.redis: redis-py's interface, and fastpool's options beside it."""

from __future__ import annotations

import gc
import os
import pickle
import queue
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

import fastpool
from fastpool import _registry
from fastpool.adapters.redis import (
    AllServersUnavailable,
    BlockingConnectionPool,
    ConnectionPool,
    MaxConnectionsError,
    PoolDeadlock,
)
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import frees_what_is_dropped, until

from ._resp import PATIENCE, RespServer, bulk

Make = Callable[..., Any]

# redis-py before 5.3 has only the general one
TooMany = getattr(redis, "MaxConnectionsError", redis.ConnectionError)


@pytest.fixture
def fake() -> Iterator[RespServer]:
    server = RespServer()
    yield server
    server.close()


@pytest.fixture
def make(fake: RespServer) -> Iterator[Make]:
    made = []

    def make(kind: Any = ConnectionPool, *args: Any, **kwargs: Any) -> Any:
        where = {} if "connection_class" in kwargs else {"host": fake.host, "port": fake.port}
        pool = kind(*args, **where | kwargs)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.close()


def connected(c: Any) -> bool:
    return c._sock is not None


class Own:
    """A connection class of the user's own, that is none of redis-py's."""

    def __init__(self, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.pid = os.getpid()
        self.connected = False
        self.unread = False

    def connect(self) -> None:
        self.connected = True

    def disconnect(self) -> None:
        self.connected = False

    def can_read(self, timeout: float = 0) -> bool:
        return self.unread


# ---- checkout and checkin


def test_it_is_redis_pys_pool_and_fastpools(make: Make) -> None:
    for kind, theirs in (
        (ConnectionPool, redis.ConnectionPool),
        (BlockingConnectionPool, redis.BlockingConnectionPool),
    ):
        pool = make(kind)
        assert isinstance(pool, theirs) and isinstance(pool, fastpool.Pool)
        assert isinstance(pool.get_connection(), redis.Connection)


def test_the_last_connection_returned_comes_next(make: Make) -> None:
    pool = make()
    one, two = pool.get_connection("GET", "key", option=1), pool.get_connection()
    assert one is not two
    pool.release(one)
    pool.release(two)
    assert pool.get_connection() is two


def test_max_connections_is_reached_at_once(make: Make) -> None:
    pool = make(max_connections=2)
    held = [pool.get_connection() for _ in range(2)]
    began = time.monotonic()
    with pytest.raises(TooMany, match=r"^Too many connections") as caught:
        pool.get_connection()
    assert time.monotonic() - began < PATIENCE / 2
    assert isinstance(caught.value, MaxConnectionsError) and isinstance(caught.value, fastpool.NoConnectionsAvailable)
    pool.release(held[0])
    assert pool.get_connection() is held[0]


def test_all_may_connect_at_once(make: Make, fake: RespServer) -> None:
    """redis-py has no limit for that; with one, a pool that does not wait would refuse although there is room."""
    together = threading.Barrier(6)

    class Slow(redis.Connection):
        def connect(self) -> None:
            together.wait(PATIENCE)
            super().connect()

    pool = ConnectionPool(Slow, 6, host=fake.host, port=fake.port)
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(pool.get_connection())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(set(got)) == 6
    pool.close()


def test_a_blocking_pool_waits(make: Make) -> None:
    pool = make(BlockingConnectionPool, 1, PATIENCE)
    c = pool.get_connection()
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(pool.get_connection()))
    thread.start()
    until(lambda: pool.stats().waiting == 1)
    pool.release(c)
    thread.join(PATIENCE)
    assert got == [c]


def test_a_blocking_pool_gives_up_after_its_timeout(make: Make) -> None:
    pool = make(BlockingConnectionPool, max_connections=1, timeout=0.01)
    pool.get_connection()
    with pytest.raises(redis.ConnectionError, match=r"^No connection available\.") as caught:
        pool.get_connection()
    assert not isinstance(caught.value, MaxConnectionsError)
    assert isinstance(caught.value, fastpool.NoConnectionsAvailable)
    pool.timeout = 0
    assert pool.timeout == 0 == pool.config.timeout
    with pytest.raises(redis.ConnectionError):
        pool.get_connection()


def test_waiters_are_served_in_order(make: Make) -> None:
    pool = make(BlockingConnectionPool, 1, PATIENCE)
    c = pool.get_connection()
    order: list[int] = []

    def work(number: int) -> None:
        got = pool.get_connection()
        order.append(number)
        pool.release(got)

    threads = []
    for number in range(4):
        threads.append(threading.Thread(target=work, args=(number,)))
        threads[-1].start()
        until(lambda: pool.stats().waiting == len(threads))
    pool.release(c)
    for thread in threads:
        thread.join(PATIENCE)
    assert order == [0, 1, 2, 3]


def test_a_caller_that_could_never_be_served_is_told(make: Make) -> None:
    pool = make(BlockingConnectionPool, 1, None)
    with pool.connection(), pytest.raises(redis.ConnectionError) as caught:
        pool.get_connection()
    assert isinstance(caught.value, PoolDeadlock)


def test_what_is_not_out_is_returned_without_an_error(make: Make) -> None:
    pool, other = make(), make()
    c, foreign = pool.get_connection(), other.get_connection()
    for returned in (c, c, foreign, Own()):
        pool.release(returned)
    assert (len(pool), pool.stats().checkins) == (1, 1)
    with pytest.raises(fastpool.LeaseError):
        pool.checkin(c)
    other.release(foreign)
    assert other.get_connection() is foreign


def test_blocks_and_checkouts_by_hand(make: Make) -> None:
    pool = make()
    with pool.connection() as c:
        assert isinstance(c, redis.Connection)
    assert pool.checkout() is c
    pool.checkin(c)


@pytest.mark.skipif(not hasattr(redis.Connection, "mark_for_reconnect"), reason="redis-py before 7 does not know it")
def test_a_connection_marked_for_reconnect_is_replaced(make: Make) -> None:
    pool = make()
    c = pool.get_connection()
    c.mark_for_reconnect()
    pool.release(c)
    assert len(pool) == 0


# ---- clients


def test_clients_share_a_pool(make: Make) -> None:
    pool = make()
    assert redis.Redis(connection_pool=pool).get("a") == b"a"
    assert redis.Redis(connection_pool=pool).get("b") == b"b"
    assert pool.stats().connects == 1


def test_a_client_that_owns_the_pool_closes_it_and_may_go_on(make: Make, fake: RespServer) -> None:
    pool = make()
    client = redis.Redis(connection_pool=pool)
    client.auto_close_connection_pool = True  # as Redis.from_pool() does
    with client:
        client.ping()
    assert len(pool) == 0
    assert client.get("again") == b"again"
    client.close()


def test_a_subclass_may_make_other_connections(make: Make, fake: RespServer) -> None:
    class Named(ConnectionPool):
        def make_connection(self) -> Any:
            c = super().make_connection()
            c.client_name = "named"
            return c

    pool = make(Named)
    pool.get_connection()
    assert ["CLIENT", "SETNAME", "named"] in fake.commands


# ---- connections of another kind


def test_a_connection_class_of_the_users_own_is_asked_itself(make: Make) -> None:
    pool = make(connection_class=Own, foo="bar")
    c = pool.get_connection()
    assert (type(c), c.connected, c.kwargs["foo"]) == (Own, True, "bar")
    pool.release(c)
    assert pool.get_connection() is c
    pool.release(c)
    c.unread = True
    other = pool.get_connection()
    assert (other is c, c.connected) == (False, False)
    pool.release(other)
    with pytest.raises(ValueError), pool.connection() as c:
        raise ValueError
    assert not c.connected  # nobody knows whether a reply is still to come


def test_a_subclass_keeps_its_name(make: Make, fake: RespServer) -> None:
    class Special(redis.Connection):
        """Mine."""

    pool = ConnectionPool(Special, host=fake.host, port=fake.port)
    c = pool.get_connection()
    assert isinstance(c, Special) and type(c).__name__ == "Special" and type(c).__doc__ == "Mine."
    assert pool.connection_class is Special
    assert "Special" in repr(c)
    pool.close()


# ---- its life


def test_disconnect_closes_all_and_the_pool_goes_on(make: Make) -> None:
    pool = make()
    idle, held = pool.get_connection(), pool.get_connection()
    pool.release(idle)
    pool.disconnect(inuse_connections=False)
    assert (connected(idle), connected(held)) == (False, True)
    pool.disconnect()
    assert not connected(held)
    held.connect()
    pool.release(held)  # connected again: it is as good as any
    assert pool.get_connection() is held


def test_close_closes_all_and_the_pool_can_be_used_again(make: Make) -> None:
    pool = make(min_size=1)
    opened = []
    pool.resize(min_size=2)
    held = pool.get_connection()
    pool.close()
    assert not connected(held)
    assert (pool.keeping, pool.closed) == (None, False)
    pool.release(held)
    assert len(pool) == 0
    opened.append(pool.get_connection())
    until(lambda: len(pool) == 2)  # the keeper is back, too
    assert pool.keeping is not None


def test_close_waits_if_it_is_told_to(make: Make) -> None:
    pool = make()
    c = pool.get_connection()
    closing = threading.Thread(target=pool.close, args=(PATIENCE,))
    closing.start()
    c.send_command("GET", "a")
    assert c.read_response() == b"a"
    assert connected(c)
    pool.release(c)
    closing.join(PATIENCE)
    assert not closing.is_alive() and len(pool) == 0


def test_with_closes(make: Make) -> None:
    with make() as pool:
        c = pool.get_connection()
    assert not connected(c)


def test_reset_forgets_what_is_out_and_leaves_it_to_its_holder(make: Make) -> None:
    pool = make(max_connections=2)
    idle, held = pool.get_connection(), pool.get_connection()
    pool.release(idle)
    pool.reset()
    assert (connected(idle), connected(held), len(pool)) == (False, True, 0)
    both = [pool.get_connection() for _ in range(2)]
    pool.release(held)
    assert len(pool) == 2
    for c in both:
        pool.release(c)
    assert held not in pool._get_free_connections()
    held.disconnect()


def test_events_of_its_life(make: Make) -> None:
    told: list[str] = []
    names = ("pool_opened", "connected", "checked_out", "checked_in", "closed_connection", "pool_closed")
    pool = make(listeners=[{name: lambda event: told.append(event.name) for name in names}])
    pool.release(pool.get_connection())
    pool.close()
    assert told == list(names)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_begins_anew(make: Make, fake: RespServer) -> None:
    pool = make(max_connections=2)
    client = redis.Redis(connection_pool=pool)
    client.ping()
    held = pool.get_connection()
    other = redis.Redis(connection_pool=pool)
    child = os.fork()
    if child == 0:  # pragma: no cover
        right = other.get("child") == b"child" and not pool.owns_connection(held)
        pool.release(held)
        os._exit(0 if right and held not in pool._get_free_connections() else 1)
    assert os.waitpid(child, 0)[1] == 0
    held.send_command("GET", "parent")
    assert held.read_response() == b"parent"
    assert fake.accepted == 2
    assert pool.owns_connection(held)


def test_a_dropped_pool_goes_with_its_connections(fake: RespServer) -> None:
    if not frees_what_is_dropped():
        pytest.skip("pools are immortal where threads run without the GIL")
    pool = ConnectionPool(host=fake.host, port=fake.port)
    c = pool.get_connection()
    sock = c._sock
    pool.release(c)
    gone = weakref.ref(pool)
    del pool, c
    gc.collect()  # redis-py's handler of maintenance notifications refers to its pool
    assert gone() is None
    assert sock.fileno() == -1


def test_pickled_pools(make: Make) -> None:
    pool = make(BlockingConnectionPool, max_connections=3, timeout=7, protocol=2, name="pickled redis", min_size=0)
    data = pickle.dumps(pool)
    assert pickle.loads(data) is pool
    pool.close()  # which leaves it open to further use
    assert pickle.loads(data) is pool
    arrived = _registry._new(*pickle.loads(pickle.dumps(_registry.pack(pool)[1][:3])))  # as in another process
    assert (arrived.max_connections, arrived.timeout, arrived.get_protocol()) == (3, 7, 2)
    assert redis.Redis(connection_pool=arrived).get("a") == b"a"
    arrived.close()


# ---- what it says of itself


def test_it_is_shown_without_its_secrets() -> None:
    pool = ConnectionPool(host="here", port=1, db=3, username="ann", password="secret")
    assert "host=here,port=1,db=3" in repr(pool)
    assert "secret" not in repr(pool) and "ann" not in repr(pool)
    assert repr(pool).startswith("<fastpool.adapters.redis.ConnectionPool(<redis.connection.Connection(")


def test_urls() -> None:
    pool = BlockingConnectionPool.from_url("redis://ann:secret@here:7000/2?max_connections=5&timeout=3", name="url")
    assert type(pool) is BlockingConnectionPool
    assert (pool.max_connections, pool.timeout, pool.config.max_size, pool.name) == (5, 3.0, 5, "url")
    assert {"host": "here", "port": 7000, "db": 2}.items() <= pool.connection_kwargs.items()
    assert ConnectionPool.from_url("unix:///a/socket").connection_class is redis.UnixDomainSocketConnection
    with pytest.raises(ValueError, match="scheme"):
        ConnectionPool.from_url("http://here")


def test_counts_and_encoders(make: Make) -> None:
    pool = make(decode_responses=True, encoding="latin-1", protocol=3)
    one, two = pool.get_connection(), pool.get_connection()
    pool.release(one)
    (idle, idle_attributes), (used, used_attributes) = pool.get_connection_count()
    assert (idle, used) == (1, 1)
    assert (idle_attributes["db.client.connection.state"], used_attributes["db.client.connection.state"]) == (
        "idle",
        "used",
    )
    assert pool.get_encoder().encoding == "latin-1" and pool.get_encoder().decode_responses
    assert pool.get_protocol() == 3
    assert pool.owns_connection(two)
    assert (pool._available_connections, pool._in_use_connections) == ([one], {two})


def test_retries_are_set_for_all_connections(make: Make) -> None:
    pool = make()
    c = pool.get_connection()
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 7)
    pool.set_retry(retry)
    assert c.retry is retry
    assert pool.get_connection().retry._retries == 7


def test_kwargs_may_change_for_later_connections(make: Make) -> None:
    pool = make()
    pool.connection_kwargs["client_name"] = "later"
    assert pool.get_connection().client_name == "later"


class Token:
    def try_get(self, key: str) -> str:
        return "ann"

    def get_value(self) -> str:
        return "new"


def test_a_new_token_replaces_all_connections(make: Make) -> None:
    pool = make()
    idle, held = pool.get_connection(), pool.get_connection()
    pool.release(idle)
    pool.re_auth_callback(Token())
    pool.release(held)
    assert not connected(idle) and not connected(held)
    assert pool.stats().closed["cleared"] == 2


class Listener:
    def __init__(self, error: Exception | None = None) -> None:
        self.heard: list[Any] = []
        self.error = error

    def listen(self, event: Any) -> None:
        self.heard.append(event.connection)
        event.connection.send_command("PING")  # still its holder's
        event.connection.read_response()
        if self.error:
            raise self.error


def test_redis_pys_listeners_hear_of_releases(make: Make) -> None:
    event = pytest.importorskip("redis.event")
    listener = Listener()
    if not hasattr(event.EventDispatcher, "register_listeners"):
        pytest.skip("listeners cannot be added in redis-py before 7")
    pool = make(event_dispatcher=event.EventDispatcher({event.AfterConnectionReleasedEvent: [listener]}))
    c = pool.get_connection()
    pool.release(c)
    pool.release(c)
    pool.release(Own())
    assert listener.heard == [c]
    assert pool.get_connection() is c
    listener.error = ArithmeticError()
    with pytest.raises(ArithmeticError):
        pool.release(c)
    assert len(pool) == 0


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
