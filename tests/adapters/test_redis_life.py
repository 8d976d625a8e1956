"""fastpool.adapters.redis: the life of a pool, and what it says of itself."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import weakref
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

from fastpool import _registry
from fastpool.adapters.redis import BlockingConnectionPool, ConnectionPool
from tests.pool.fake_driver import frees_what_is_dropped, until

from ._redis import Make, Own, connected, fake, make
from ._resp import PATIENCE, RespServer

__all__ = ["fake", "make"]  # fixtures


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
    until(lambda: len(pool) == 2)
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
