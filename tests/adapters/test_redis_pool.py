"""fastpool.adapters.redis: checkouts, clients, and connections of another kind."""

from __future__ import annotations

import pickle
import threading
import time
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

import fastpool
from fastpool.adapters.redis import BlockingConnectionPool, ConnectionPool, MaxConnectionsError, PoolDeadlock, errors
from tests.pool.fake_driver import until

from ._redis import Make, Own, TooMany, fake, make
from ._resp import PATIENCE, RespServer

__all__ = ["fake", "make"]  # fixtures


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


def test_errors_are_shown_and_pickled(make: Make) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert MaxConnectionsError in kinds
    for kind in kinds:
        error = kind("what happened")
        assert kind.__name__ in repr(error)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), repr(again)) == (kind, str(error), repr(error))
    pool = make(max_connections=1)
    pool.get_connection()
    with pytest.raises(MaxConnectionsError) as caught:
        pool.get_connection()
    assert "MaxConnectionsError" in repr(caught.value)


def test_max_connections_may_be_set(make: Make) -> None:
    pool = make(max_connections=1)
    held = [pool.get_connection()]
    pool.max_connections = 2
    held.append(pool.get_connection())
    with pytest.raises(MaxConnectionsError):
        pool.get_connection()
    for c in held:
        pool.release(c)
    pool.max_connections = 1
    assert (pool.max_connections, pool.config.max_size) == (1, 1)
    until(lambda: len(pool) == 1)
    pool.get_connection()
    with pytest.raises(MaxConnectionsError):
        pool.get_connection()


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
    assert "raise max_connections" in str(caught.value), "its own argument, which is called max_size elsewhere"
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
