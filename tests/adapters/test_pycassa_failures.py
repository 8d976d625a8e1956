"""Failures, and what they cost: interrupted calls, replies out of step, servers that refuse, misuse."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from thriftpy2.thrift import TApplicationException

import fastpool
from fastpool.adapters.pycassa import (
    AllServersUnavailable,
    ConnectionPool,
    InvalidRequestError,
    MaximumRetryException,
)
from fastpool.adapters.pycassa import ttypes as t
from fastpool.adapters.pycassa.service import service

from ._cassandra import KEYSPACE, ONE, PARENT, Call, FakeCassandra, Story, column, insert

MakePool = Callable[..., ConnectionPool]


def test_an_interrupted_call_costs_the_connection_whatever_interrupts_it(
    make_pool: MakePool, cassandra: FakeCassandra
) -> None:
    """A reply that comes late is nobody else's: pycassa hands it to the next call."""

    class Interrupted(BaseException):
        pass

    pool = make_pool(pool_size=1)
    late = threading.Event()

    def script(call: Call) -> Any:
        if call.name == "get" and call.args.key == b"slow":
            late.wait(20)
        return None

    for key in (b"slow", b"other"):
        insert(pool, key)
        cassandra.rows[key] = {b"c": key}
    cassandra.script = script
    connection = pool.get()
    wire = connection.wire
    receive = wire.receive

    def interrupt() -> None:
        wire.receive = receive
        raise Interrupted

    wire.receive = interrupt  # type: ignore[method-assign]
    path = t.ColumnPath(column_family="Standard1", column=b"c")
    with pytest.raises(Interrupted):
        connection.get(b"slow", path, ONE)
    late.set()
    pool.put(connection)
    assert pool.execute("get", b"other", path, ONE).column.value == b"other"


@pytest.mark.parametrize("what", ["id", "name", "leftover", "torn", "length"])
def test_a_reply_out_of_step_is_noticed(make_pool: MakePool, cassandra: FakeCassandra, what: str) -> None:
    pool = make_pool(pool_size=1, max_retries=1)
    wrong = [what]

    def script(call: Call) -> Any:
        if call.name != "get_slice" or not wrong:
            return None
        wrong.pop()
        good = call.reply(_empty_slice())
        if what == "id":
            return call.reply(_empty_slice(), seqid=call.seqid + 1)
        if what == "name":
            call.name = "get"
            return call.reply(_empty_slice())
        if what == "leftover":
            return (len(good) - 4 + 3).to_bytes(4, "big") + good[4:] + b"xyz"
        if what == "torn":
            return (len(good) - 4 - 3).to_bytes(4, "big") + good[4:-3]
        return b"\x7f\xff\xff\xff" + good[4:]

    cassandra.script = script
    predicate = t.SlicePredicate(slice_range=t.SliceRange(start=b"", finish=b""))
    if what in ("id", "name"):
        with pytest.raises(TApplicationException, match="expected the reply"):
            pool.execute("get_slice", b"key", PARENT, predicate, ONE)
    else:
        assert pool.execute("get_slice", b"key", PARENT, predicate, ONE) == []
    assert pool.stats().connects == (1 if what in ("id", "name") else 2 if what != "leftover" else 1)
    assert pool.execute("get_slice", b"key", PARENT, predicate, ONE) == []
    assert pool.stats().connects == 2 and pool.checkedout() == 0


def _empty_slice() -> Any:
    return service.get_slice_result(success=[])


def test_a_connection_is_used_by_its_holder_only(make_pool: MakePool) -> None:
    pool = make_pool(pool_size=1)
    connection = pool.get()
    pool.put(connection)
    for use in (
        lambda: connection.insert(b"key", PARENT, column(b"v"), ONE),
        lambda: connection.describe_version(),
        lambda: connection.set_keyspace("Keyspace2"),
        connection.close,
    ):
        with pytest.raises(InvalidRequestError, match="use after return"):
            use()
    insert(pool)
    assert issubclass(InvalidRequestError, fastpool.LeaseError)


def test_blocks_share_the_pool_with_get_and_put(make_pool: MakePool, cassandra: FakeCassandra, story: Story) -> None:
    pool = make_pool(pool_size=2)
    with pool.connection() as c, pool.connection() as same:
        assert c is same
        cassandra.hang_up()
        c.insert(b"key", PARENT, column(b"v"), ONE)
        with pytest.raises(InvalidRequestError, match="held by a `with` block"):
            pool.put(c)
    assert pool.checkedin() == len(pool) == 2
    assert story.count("connection_checked_out") == 2 and story.count("connection_checked_in") == 1
    cassandra.script = lambda call: t.TimedOutException() if call.name == "insert" else None
    with pool.connection() as c:
        with pytest.raises(MaximumRetryException):
            c.insert(b"key", PARENT, column(b"v"), ONE, allow_retries=False)
        cassandra.script = None
        c.insert(b"key", PARENT, column(b"v"), ONE)  # on a new connection
    assert pool.checkedout() == 0


def test_unlimited_retries_end_when_there_is_no_server(make_pool: MakePool, cassandra: FakeCassandra) -> None:
    pool = make_pool(pool_size=1, max_retries=-1)
    failures = [8]

    def script(call: Call) -> Any:
        failures[0] -= 1
        return t.UnavailableException() if failures[0] >= 0 else None

    cassandra.script = script
    insert(pool)
    connection = pool.get()
    cassandra.stop()
    with pytest.raises(AllServersUnavailable) as caught:
        connection.insert(b"key", PARENT, column(b"v"), ONE)
    assert not isinstance(caught.value, MaximumRetryException) and pool.checkedout() == 0


def test_a_server_that_refuses_is_left_alone(
    cassandra: FakeCassandra, story: Story, closed_port: Callable[[], int]
) -> None:
    bad = f"127.0.0.1:{closed_port()}"
    pool = ConnectionPool(KEYSPACE, [cassandra.address, bad], pool_size=20, timeout=10, listeners=[story],
                          backoff=(50.0, 50.0))  # fmt: skip
    assert len(pool) == 20
    assert story.count("connection_failed") <= 3, "pycassa asks it at every second connect"
    (failed, *_) = story.dicts("connection_failed")
    assert failed["server"] == bad and failed["connection"] is None and failed["level"] == "info"
    pool.close()


def test_all_servers_refuse(closed_port: Callable[[], int], story: Story) -> None:
    with pytest.raises(AllServersUnavailable) as caught:
        ConnectionPool(KEYSPACE, [f"127.0.0.1:{closed_port()}" for _ in range(2)], timeout=10, listeners=[story])
    assert str(caught.value).startswith(
        "An attempt was made to connect to each of the servers twice, but none of the attempts succeeded. "
        "The last failure was TTransportException: "
    )
    assert story.count("connection_failed") == 4 and isinstance(caught.value, fastpool.AllServersUnavailable)


def test_wrong_credentials_are_nobodys_failure(story: Story) -> None:
    with FakeCassandra(password="secret") as one, FakeCassandra(password="secret") as two:
        with pytest.raises(t.AuthenticationException, match="incorrect"):
            ConnectionPool(
                KEYSPACE, [one.address, two.address], {"username": "ann", "password": "guess"}, 10, listeners=[story]
            )
        assert story.count("connection_failed") == 0 and len(one.streams) + len(two.streams) == 1
        pool = ConnectionPool("none", [one.address], {"username": "ann", "password": "secret"}, 10, prefill=False)
        with pytest.raises(t.InvalidRequestException, match="does not exist"):
            pool.get()
        pool.keyspace = KEYSPACE  # and it is not left alone for that
        pool.put(pool.get())
        pool.close()


def test_a_pool_that_is_dropped_is_gone(make_pool: MakePool, cassandra: FakeCassandra) -> None:
    pool = ConnectionPool(KEYSPACE, [cassandra.address], timeout=10)
    connection = pool.get()
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    with pytest.raises(fastpool.PoolClosed, match="does not exist any more"):
        connection.return_to_pool()
    connection.end()
