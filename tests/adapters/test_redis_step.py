"""fastpool.adapters.redis: nobody ever gets somebody else's reply, whatever happened to a connection before."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

from fastpool.adapters.redis import BlockingConnectionPool, ConnectionPool

from ._redis import fake
from ._resp import PATIENCE, RespServer, bulk

Make = Callable[..., Any]

__all__ = ["fake"]  # a fixture


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def make(request: pytest.FixtureRequest, fake: RespServer) -> Iterator[Make]:
    made = []

    def make(kind: Any = ConnectionPool, **kwargs: Any) -> Any:
        pool = kind(**{"host": fake.host, "port": fake.port, "protocol": request.param} | kwargs)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.close()


def desync(pool: Any) -> int:
    return int(pool.stats().closed["desync"])


# ---- what has come


@pytest.mark.parametrize("kind", [ConnectionPool, BlockingConnectionPool])
def test_an_unread_reply_is_noticed_at_the_checkout(make: Make, fake: RespServer, kind: Any) -> None:
    pool = make(kind)
    c = pool.get_connection()
    pool.release(c)
    for turn in range(1, 4):  # at every one, however recently it was used
        fake.send_all(bulk("somebody else's"))
        wait_for_data(c)
        old, c = c, pool.get_connection()
        assert c is not old
        c.send_command("GET", "mine")
        assert c.read_response() == b"mine"
        pool.release(c)
        assert (desync(pool), len(pool)) == (turn, 1)


def test_a_client_gets_its_own_reply(make: Make, fake: RespServer) -> None:
    pool = make()
    client = redis.Redis(connection_pool=pool)
    assert client.get("a") == b"a"
    (idle,) = pool._get_free_connections()
    fake.send_all(bulk("b") + bulk("c"))
    wait_for_data(idle)
    assert [client.get("d"), client.get("e")] == [b"d", b"e"]


def test_an_unread_reply_in_the_parsers_buffer_is_noticed_at_the_return(make: Make, fake: RespServer) -> None:
    pool = make()
    c = pool.get_connection()
    c.send_command("GET", "x")
    fake.until(lambda: "GET" in fake.names())
    fake.send_all(bulk("y"))  # behind the reply, so that one read of the socket brings both
    wait_for_data(c, 2 * len(bulk("x")))
    assert c.read_response() == b"x"
    pool.release(c)
    assert len(pool) == 0
    assert redis.Redis(connection_pool=pool).get("z") == b"z"


def test_a_connection_that_the_server_closed_is_replaced(make: Make, fake: RespServer) -> None:
    pool = make()
    client = redis.Redis(connection_pool=pool)
    client.ping()
    (idle,) = pool._get_free_connections()
    fake.drop_all()
    wait_for_data(idle, 0)
    c = pool.get_connection()
    assert c is not idle
    assert pool.stats().closed["dead"] == 1


# ---- what is still to come


def test_a_reply_that_was_not_read_yet_costs_the_connection(make: Make, fake: RespServer) -> None:
    pool = make()
    fake.hold = "late"
    c = pool.get_connection()
    c.send_command("GET", "late")
    pool.release(c)  # as `finally: pool.release(c)` does when the caller was interrupted in between
    assert (desync(pool), len(pool)) == (1, 0)
    with pool.connection() as other:
        fake.answer()
        other.send_command("GET", "mine")
        assert other.read_response() == b"mine"


def test_each_reply_counts(make: Make) -> None:
    pool = make()
    c = pool.get_connection()
    c.send_packed_command(c.pack_commands([("GET", "a"), ("GET", "b"), ("NONSENSE",)]))
    assert c.read_response() == b"a"
    assert c.read_response() == b"b"
    with pytest.raises(redis.ResponseError):
        c.read_response()
    pool.release(c)
    assert (pool.get_connection(), desync(pool)) == (c, 0)
    c.send_packed_command(c.pack_commands([("GET", "a"), ("GET", "b")]))
    c.read_response()
    pool.release(c)
    assert desync(pool) == 1


def test_a_pipeline_that_is_left_half_way_costs_the_connection(make: Make) -> None:
    pool = make()
    client = redis.Redis(connection_pool=pool)

    def fail(reply: Any, **options: Any) -> None:
        raise ArithmeticError(reply)

    client.set_response_callback("GET", fail)
    with pytest.raises(ArithmeticError):
        client.pipeline(transaction=False).get("a").ping().ping().execute()
    assert [redis.Redis(connection_pool=pool).get(key) for key in "bcd"] == [b"b", b"c", b"d"]
    assert desync(pool) == 1


@pytest.mark.parametrize("transaction", [False, True])
def test_pipelines_keep_their_connection(make: Make, transaction: bool) -> None:
    pool = make()
    client = redis.Redis(connection_pool=pool)
    for _ in range(3):
        assert client.pipeline(transaction=transaction).get("a").get("b").execute() == [b"a", b"b"]
    assert pool.stats().connects == 1


def test_a_connection_kept_over_a_timeout_does_not_go_on(make: Make, fake: RespServer) -> None:
    """As redis-py's connections to what Sentinel manages are: they read with disconnect_on_error=False."""
    pool = make(socket_timeout=0.05)
    fake.hold = "late"
    c = pool.get_connection()
    c.send_command("GET", "late")
    with pytest.raises(redis.TimeoutError):
        c.read_response(disconnect_on_error=False)
    pool.release(c)
    fake.answer()
    assert redis.Redis(connection_pool=pool).get("mine") == b"mine"
    assert desync(pool) == 1


def test_an_interrupted_command_costs_the_connection(make: Make, fake: RespServer, monkeypatch: Any) -> None:
    pool = make()
    client = redis.Redis(connection_pool=pool)
    client.ping()
    (c,) = pool._get_free_connections()
    monkeypatch.setattr(c, "read_response", raising(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        client.get("a")
    assert client.get("b") == b"b"
    assert pool._get_free_connections() != [c]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_between_two_calls(make: Make, error: type[BaseException]) -> None:
    pool = make()
    with pytest.raises(error), pool.connection() as c:
        c.send_command("PING")
        c.read_response()
        raise error
    assert len(pool) == (1 if error is ValueError else 0)
    with pytest.raises(ValueError), pool.connection() as c:
        c.send_command("PING")
        raise ValueError
    assert (len(pool), desync(pool)) == (0, 1)


def test_a_connection_that_was_connected_again_owes_nothing(make: Make, fake: RespServer) -> None:
    pool = make()
    fake.hold = "late"
    c = pool.get_connection()
    c.send_command("GET", "late")
    c.disconnect()
    c.send_command("GET", "again")  # connects
    assert c.read_response() == b"again"
    pool.release(c)
    assert pool.get_connection() is c


def test_a_command_that_connects_or_checks_the_health_first(make: Make, fake: RespServer) -> None:
    pool = make(health_check_interval=100)
    c = pool.get_connection()
    c.next_health_check = 1
    fake.hold = "late"
    c.send_command("GET", "late")  # pings first
    assert fake.until(lambda: fake.names()[-2:] == ["PING", "GET"]) is None
    pool.release(c)
    c = pool.get_connection()
    c.disconnect()
    c.send_command("GET", "late")
    pool.release(c)
    assert desync(pool) == 2


def test_a_command_that_cannot_be_sent_owes_nothing(make: Make) -> None:
    pool = make()
    c = pool.get_connection()
    c._sock.close()
    c._sock = Broken()
    with pytest.raises(redis.ConnectionError):
        c.send_command("PING")
    c.send_command("PING")
    c.read_response()
    pool.release(c)
    assert pool.get_connection() is c


def test_a_connection_used_after_its_return_does_not_harm_the_next_caller(make: Make, fake: RespServer) -> None:
    pool = make()
    c = pool.get_connection()
    pool.release(c)
    fake.hold = "late"
    c.send_command("GET", "late")
    assert redis.Redis(connection_pool=pool).get("mine") == b"mine"
    assert pool.stats().connects == 2


def test_a_connection_that_was_replaced_says_nothing_of_its_successor(make: Make, fake: RespServer) -> None:
    pool = make(max_connections=1)
    old = pool.get_connection()
    old.disconnect()
    pool.release(old)
    new = pool.get_connection()
    fake.hold = "late"
    new.send_command("GET", "late")
    old.send_command("GET", "mine")  # connects again, by itself
    assert old.read_response() == b"mine"
    pool.release(new)
    assert desync(pool) == 1
    new = pool.get_connection()
    old.send_command("GET", "late")
    pool.release(new)
    assert pool.get_connection() is new
    old.disconnect()


# ---- many at once


def test_threads_that_give_up_at_random_never_get_another_ones_reply(make: Make) -> None:
    pool = make(BlockingConnectionPool, max_connections=3, timeout=PATIENCE)
    client = redis.Redis(connection_pool=pool)
    wrong: list[tuple[str, Any]] = []

    def work(number: int) -> None:
        for turn in range(60):
            key = f"{number}-{turn}"
            if turn % 3 == number % 3:
                c = pool.get_connection()
                c.send_command("GET", key)
                pool.release(c)
            elif (got := client.get(key)) != key.encode():
                wrong.append((key, got))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []
    assert desync(pool) == 8 * 20


class Broken:
    def sendall(self, data: bytes) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    def shutdown(self, how: int) -> None: ...

    def close(self) -> None: ...


def raising(error: type[BaseException]) -> Callable[..., Any]:
    def raise_it(*args: Any, **kwargs: Any) -> Any:
        raise error

    return raise_it


def wait_for_data(c: Any, least: int = 1) -> None:
    """Wait until so many bytes have come, or (0) the end."""
    sock = c._sock
    sock.settimeout(PATIENCE)
    while len(found := sock.recv(4096, socket.MSG_PEEK)) < least and found:
        pass
    sock.settimeout(c.socket_timeout)
