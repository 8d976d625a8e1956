"""Arguments, attributes, listeners and factories of the adapter for pycassa's pool."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import fastpool
from fastpool.adapters import pycassa
from fastpool.adapters.pycassa import (
    AllServersUnavailable,
    ConnectionPool,
    ConnectionWrapper,
    InvalidRequestError,
    MaximumRetryException,
    NoConnectionAvailable,
    PoolListener,
    default_socket_factory,
    default_transport_factory,
)
from fastpool.adapters.pycassa import ttypes as t

from ._cassandra import KEYSPACE, ONE, PARENT, FakeCassandra, Story, column, insert


def test_the_defaults_are_pycassas() -> None:
    pool = ConnectionPool("k", prefill=False)
    assert pool.server_list == ["localhost:9160"]
    assert (pool.size(), pool.max_overflow, pool.pool_timeout, pool.recycle, pool.max_retries) == (5, 0, 30, 10000, 5)
    assert (pool.timeout, pool.credentials, pool.keyspace, pool.logging_name) == (0.5, None, "k", id(pool))
    assert pool.socket_factory is default_socket_factory and pool.transport_factory is default_transport_factory
    assert len(pool.listeners) == 1 and isinstance(pool.listeners[0], pycassa.PoolLogger)
    assert pycassa.QueuePool is ConnectionPool and ConnectionPool.return_conn is ConnectionPool.put
    assert (pool.checkedin(), pool.checkedout(), pool.overflow(), len(pool)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"keyspace": 3}, TypeError, "keyspace must be a string, not 3"),
        ({"server_list": "a:1"}, TypeError, "server_list must be a list of 'host:port', or a function"),
        ({"server_list": ["a:b:c"]}, ValueError, "IPv6 address in brackets"),
        ({"server_list": ["a:port"]}, ValueError, "the port must be a number, not 'port' in 'a:port'"),
        ({"server_list": [3]}, TypeError, "an address is 'host:port' or"),
        ({"credentials": "secret"}, TypeError, "^credentials must be a dict with 'username' and 'password', or None$"),
        ({"timeout": 0}, ValueError, "timeout must be above 0, or None, not 0"),
        ({"timeout": "1"}, TypeError, "timeout must be a number of seconds or None, not '1'"),
        ({"timeout": float("nan")}, ValueError, "timeout must be a number of seconds"),
        ({"pool_size": 0}, ValueError, "pool_size must be from 1 to 65535, not 0"),
        ({"pool_size": True}, TypeError, "pool_size must be an integer, not True"),
        ({"pool_size": "5"}, TypeError, "pool_size must be an integer, not '5'"),
        ({"max_overflow": -2}, ValueError, "max_overflow must be at least -1, not -2"),
        ({"max_overflow": 70000}, ValueError, "must be at most 65535, not 70005"),
        ({"max_size": 4}, ValueError, "max_size must be from 5 to 65535, not 4"),
        ({"pool_timeout": -2}, ValueError, "pool_timeout must be a number of seconds or -1 for ever, not -2"),
        ({"pool_timeout": "x"}, TypeError, "pool_timeout must be a number of seconds or -1 for ever, not 'x'"),
        ({"recycle": -2}, ValueError, "recycle must be at least -1, not -2"),
        ({"recycle": 1.5}, TypeError, "recycle must be an integer, not 1.5"),
        ({"max_retries": -2}, ValueError, "max_retries must be at least -1, not -2"),
        ({"socket_factory": 3}, TypeError, "socket_factory must be callable, not 3"),
        ({"transport_factory": None}, TypeError, "transport_factory must be callable, not None"),
        ({"listeners": {"connection_created": print}}, TypeError, "listeners must be a list of listeners"),
        ({"listeners": [object()]}, TypeError, "does not implement any of: connection_created"),
        ({"listeners": [{}]}, TypeError, "does not implement any of"),
        ({"listeners": [{"created": print}]}, TypeError, "'created': unknown in this interface"),
        ({"listeners": [{"pool_at_max": 3}]}, TypeError, "'pool_at_max'=3 is not callable"),
        ({"pool_sise": 3}, TypeError, "unknown option 'pool_sise'"),
        ({"check_after": -1}, ValueError, "check_after must be"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ConnectionPool(**{"keyspace": "k", "prefill": False, **arguments})


def test_the_options_of_fastpool_are_taken_too(cassandra: FakeCassandra) -> None:
    told = []
    pool = ConnectionPool(
        KEYSPACE, servers=[(cassandra.host, cassandra.port)], pool_size=2, max_size=3, min_size=1, prefill=False,
        timeout=10, name="mine", max_waiting=7, check_after=0, pool_listeners=[{"connected": told.append}],
        balance="least_leased", keepalive=60,
    )  # fmt: skip
    assert pool.name == "mine" and len(pool) == 1 and len(told) == 1
    assert (pool.size(), pool.max_overflow, pool.config.max_waiting, pool.config.balance) == (2, 1, 7, "least_leased")
    assert pool.stats().connects == 1 and fastpool.Pool in type(pool).__mro__
    insert(pool)
    assert pool.warm() == 2
    dead: list[int] = []
    keeper = threading.Thread(target=lambda: dead.append(pool._keep_alive(0)))  # as the keeper, in a thread of its own
    keeper.start()
    keeper.join(30)
    assert dead == [0], "describe_version keeps a connection alive"
    assert sum(stream.calls.count("describe_version") for stream in cassandra.streams) == 2
    pool.close()
    with pytest.raises(fastpool.PoolClosed):
        pool.get()


def test_servers_may_be_a_function_that_is_asked_at_each_connect(cassandra: FakeCassandra) -> None:
    current = [cassandra.address]
    with FakeCassandra() as other:
        with ConnectionPool(KEYSPACE, servers=lambda: current, pool_size=2, prefill=False, timeout=10) as pool:
            first = pool.checkout()
            current[:] = [other.address]
            second = pool.checkout()
            assert (first.server, second.server) == (cassandra.address, other.address)
            pool.checkin(first)
            pool.checkin(second)


def test_set_server_list(cassandra: FakeCassandra) -> None:
    story = Story()
    pool = ConnectionPool(KEYSPACE, ["nowhere.invalid:1"], prefill=False, timeout=10, listeners=[story])
    with pytest.raises(AllServersUnavailable):
        pool.get()
    pool.set_server_list(lambda: (address for address in [cassandra.address]))
    assert pool.server_list == [cassandra.address]
    assert [dic["server_list"] for dic in story.dicts("server_list_obtained")][-1] == [cassandra.address]
    assert pool.get().server == cassandra.address
    with pytest.raises(TypeError, match="server_list must be a list"):
        pool.set_server_list(None)
    pool.set_server_list(["localhost", ("::1", 9161), "[::1]:9162"])
    assert sorted(pool.driver.servers()) == [("::1", 9161), ("::1", 9162), ("localhost", 9160)]
    assert pool.driver.text_of(("localhost", 9160)) == "localhost"
    pool.close()


def test_what_can_be_changed_while_the_pool_is_used(cassandra: FakeCassandra) -> None:
    pool = ConnectionPool(KEYSPACE, [cassandra.address], pool_size=1, pool_timeout=0, timeout=10, use_threadlocal=False)
    held = [pool.get()]
    with pytest.raises(NoConnectionAvailable):
        pool.get()
    pool.max_overflow = 2
    held += [pool.get(), pool.get()]
    with pytest.raises(NoConnectionAvailable, match=r"^ConnectionPool limit of size 1overflow 2 reached, "):
        pool.get()
    pool.max_overflow = -1
    held += [pool.get() for _ in range(20)]
    assert pool.overflow() == 22 and pool.max_overflow == -1
    for connection in held[:1]:
        pool.put(connection)
    assert pool.checkedin() == 1, "one is kept, whichever comes first"
    for connection in held[1:]:
        pool.put(connection)
    assert (pool.checkedin(), pool.overflow()) == (1, 0)
    pool.max_overflow = 0
    connection = pool.get()
    pool.pool_timeout = -1
    assert pool.pool_timeout == -1 and pool.config.timeout is None
    threading.Timer(0.1, pool.put, [connection]).start()
    connection = pool.get()  # waits, however long it takes
    pool.pool_timeout = 0.05
    with pytest.raises(NoConnectionAvailable):
        pool.get()
    cassandra.script = lambda call: t.TimedOutException()
    pool.max_retries = 1
    assert connection.max_retries == 1
    with pytest.raises(MaximumRetryException, match=r"^Retried 2 times"):
        connection.insert(b"key", PARENT, column(b"v"), ONE)
    connection = pool.get()
    connection.max_retries = 0
    with pytest.raises(MaximumRetryException, match=r"^Retried 1 times"):
        connection.insert(b"key", PARENT, column(b"v"), ONE)
    cassandra.script = None
    pool.recycle = -1
    for name, value in (("recycle", -2), ("max_retries", -2), ("max_overflow", -2), ("pool_timeout", -3)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            setattr(pool, name, value)
    with pytest.raises(TypeError, match="socket_factory must be callable, not None"):
        pool.socket_factory = None
    pool.logging_name = "renamed"
    story = Story()
    pool.add_listener(story)
    pool.put(pool.get())
    assert {dic["pool_id"] for _, dic in story.told} == {"renamed"}
    pool.close()


def test_pool_at_max_tells_the_most_connections(cassandra: FakeCassandra) -> None:
    story = Story()
    pool = ConnectionPool(
        KEYSPACE, [cassandra.address], pool_size=1, max_overflow=1, pool_timeout=0, use_threadlocal=False,
        listeners=[story], timeout=10,
    )  # fmt: skip
    held = [pool.get(), pool.get()]
    for _ in range(2):
        with pytest.raises(NoConnectionAvailable):
            pool.get()
    assert story.dicts("pool_at_max") == [{"pool_id": id(pool), "level": "info", "pool_max": 2}] * 2
    for connection in held:
        pool.put(connection)
    pool.close()


def test_listeners_of_every_kind(cassandra: FakeCassandra) -> None:
    class Documented(PoolListener):
        def __init__(self) -> None:
            self.lists: list[Any] = []

        def server_list_obtained(self, dic: dict[str, Any]) -> None:
            self.lists.append(dic)

    class Both(Documented):
        def obtained_server_list(self, dic: dict[str, Any]) -> None:
            self.lists.append(dic)

    dispatched: list[Any] = []
    documented, both = Documented(), Both()
    pool = ConnectionPool(
        KEYSPACE, [cassandra.address], prefill=False,
        listeners=(one for one in (documented, both, {"obtained_server_list": dispatched.append})),
    )  # fmt: skip
    assert (len(documented.lists), len(both.lists), len(dispatched)) == (1, 2, 1)
    assert pool.listeners[1] is documented
    assert {name for name in dir(PoolListener) if not name.startswith("_")} == {
        "connection_created", "connection_checked_out", "connection_checked_in", "connection_disposed",
        "connection_recycled", "connection_failed", "server_list_obtained", "pool_disposed", "pool_at_max",
    }  # fmt: skip
    pool.close()


def test_put_refuses_what_is_not_the_pools(cassandra: FakeCassandra) -> None:
    one, two = (ConnectionPool(KEYSPACE, [cassandra.address], pool_size=1, timeout=10) for _ in range(2))
    connection = one.get()
    with pytest.raises(InvalidRequestError, match="is another pool's connection"):
        two.put(connection)
    with pytest.raises(TypeError, match="put\\(\\) takes a connection that get\\(\\) gave, not None"):
        one.put(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="a ConnectionWrapper is not made directly"):
        ConnectionWrapper(one, 5)
    assert str(connection) == f"<ConnectionWrapper {KEYSPACE}@{cassandra.address}>"
    one.put(connection)
    one.close()
    two.close()


def test_the_errors_are_fastpools_too() -> None:
    assert issubclass(AllServersUnavailable, fastpool.AllServersUnavailable)
    assert issubclass(NoConnectionAvailable, fastpool.NoConnectionsAvailable)
    assert issubclass(MaximumRetryException, fastpool.PoolError)
    assert issubclass(InvalidRequestError, fastpool.LeaseError)


def test_a_description_of_the_keyspace(cassandra: FakeCassandra) -> None:
    pool = ConnectionPool(KEYSPACE, [cassandra.address], pool_size=1, timeout=10)
    described = pool.execute("get_keyspace_description")
    assert isinstance(described["Standard1"].column_metadata, list) and described["Standard1"].keyspace == KEYSPACE
    described = pool.execute("get_keyspace_description", "Keyspace2", use_dict_for_col_metadata=True)
    assert described["Standard1"].column_metadata[b"c"].validation_class == "BytesType"
    assert described["Standard1"].keyspace == "Keyspace2"
    pool.close()
