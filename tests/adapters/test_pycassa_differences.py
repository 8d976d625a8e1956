"""Where the adapter is better than pycassa on purpose: the bugs that pycassa's users met, and what happens here."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from thriftpy2.thrift import TApplicationException

from fastpool.adapters.pycassa import (
    ConnectionPool,
    MaximumRetryException,
    NoConnectionAvailable,
)
from fastpool.adapters.pycassa import ttypes as t

from ._cassandra import KEYSPACE, ONE, PARENT, Call, FakeCassandra, Story, column, insert

MakePool = Callable[..., ConnectionPool]


def in_thread(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread of its own; return its result."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(30)
    return found[0]


def test_238_idle_connections_are_used_before_new_ones_are_made(make_pool: MakePool, story: Story) -> None:
    pool = make_pool(pool_size=5, prefill=False)
    for _ in range(20):
        insert(pool)
    assert story.count("connection_created") == 1 == len(pool)


def test_222_connections_that_the_server_closed_while_idle_are_not_handed_out(
    make_pool: MakePool, cassandra: FakeCassandra, story: Story
) -> None:
    pool = make_pool(pool_size=3, check_after=0)
    cassandra.stop()
    cassandra.start()
    for _ in range(6):
        pool.execute("add", b"key", PARENT, t.CounterColumn(name=b"c", value=1), ONE)
    assert story.count("connection_failed") == 0, "not even a counter, which is never retried, fails"
    assert cassandra.counts == {b"key": 6}
    assert {dic["message"] for dic in story.dicts("connection_disposed")} == {"the server has closed it"}


def test_242_a_retry_runs_on_the_new_connection(make_pool: MakePool, cassandra: FakeCassandra, story: Story) -> None:
    pool = make_pool(pool_size=5, max_retries=1)
    cassandra.hang_up()  # all five, and they were used a moment ago
    insert(pool)
    assert story.names[-5:] == [
        "connection_checked_out", "connection_failed", "connection_created", "connection_checked_out",
        "connection_checked_in",
    ]  # fmt: skip
    assert story.count("connection_failed") == 1 and "connection_disposed" not in story.names


def test_222_after_one_failure_the_other_connections_are_looked_at(
    make_pool: MakePool, cassandra: FakeCassandra, story: Story
) -> None:
    pool = make_pool(pool_size=5, use_threadlocal=False)
    held = [pool.get() for _ in range(5)]
    for connection in held:
        pool.put(connection)
    cassandra.hang_up()
    insert(pool)
    held = [pool.get() for _ in range(5)]
    for connection in held:
        connection.insert(b"key", PARENT, column(b"v"), ONE, allow_retries=False)
        pool.put(connection)
    assert story.count("connection_failed") == 1


def test_216_a_closed_connection_frees_its_place(make_pool: MakePool) -> None:
    for threadlocal in (True, False):
        pool = make_pool(pool_size=1, pool_timeout=0, use_threadlocal=threadlocal)
        for close in (lambda c: c.close(), lambda c: c.transport.close()):
            for _ in range(5):
                connection = pool.get()
                close(connection)
                connection.return_to_pool()
                assert pool.checkedout() == 0 and len(pool) == 0
        insert(pool)


def test_63_213_no_failure_loses_a_place(make_pool: MakePool, cassandra: FakeCassandra) -> None:
    """Whatever goes wrong, as many connections can be had afterwards as before."""
    answers = [t.TimedOutException(), t.UnavailableException(), TApplicationException(6, "no"), b"\0\0\0\1x", OSError()]

    def script(call: Call) -> Any:
        answer = answers[int(call.args.key)] if call.args.key.isdigit() else None
        if isinstance(answer, OSError):
            raise answer
        return answer

    cassandra.script = script
    for threadlocal in (True, False):
        pool = make_pool(
            pool_size=2, max_overflow=1, max_retries=1, pool_timeout=0, use_threadlocal=threadlocal, recycle=2
        )
        for round_ in range(3):
            for number in range(len(answers)):
                with pytest.raises((MaximumRetryException, TApplicationException)):
                    insert(pool, b"%d" % number, allow_retries=bool(round_ % 2))
                if round_ == 2:
                    connection = pool.get()
                    with pytest.raises((MaximumRetryException, TApplicationException)):
                        connection.insert(b"%d" % number, PARENT, column(b"v"), ONE)  # and it is not returned
            insert(pool)
        assert pool.checkedout() == 0 and pool.overflow() == 0
        held = [pool.checkout() for _ in range(3)]
        assert (pool.checkedout(), pool.overflow(), len(pool)) == (3, 1, 3)
        for connection in held:
            pool.checkin(connection)
        stats = pool.stats()
        assert stats.connects - sum(stats.closed.values()) == stats.size == 2


def test_44_a_recycled_connection_that_cannot_be_replaced(
    make_pool: MakePool, cassandra: FakeCassandra, story: Story
) -> None:
    pool = make_pool(pool_size=1, recycle=0, pool_timeout=0)
    connection = pool.get()
    connection.insert(b"key", PARENT, column(b"v"), ONE)
    factory = pool.socket_factory

    def refuse(host: str, port: int) -> Any:
        raise OSError("no sockets left")

    pool.socket_factory = refuse
    pool.put(connection)  # raises nothing: the operation has succeeded
    assert len(pool) == 0 and story.count("connection_recycled") == 0 and not connection.is_open()
    pool.socket_factory = factory
    insert(pool)


def test_205_a_recycled_connection_is_disposed_of_once(make_pool: MakePool, story: Story) -> None:
    pool = make_pool(pool_size=1, max_overflow=2, recycle=0, use_threadlocal=False)
    held = [pool.get() for _ in range(3)]
    story.clear()
    for connection in held:
        connection.insert(b"key", PARENT, column(b"v"), ONE)
        pool.put(connection)
    assert story.names[:4] == [
        "connection_created", "connection_recycled", "connection_disposed", "connection_checked_in",
    ]  # fmt: skip
    disposed = [dic["connection"] for dic in story.dicts("connection_disposed")]
    assert len(disposed) == len(set(map(id, disposed))) == 5, "three of them recycled, two of the new ones too many"
    first = story.dicts("connection_recycled")[0]
    assert first["old_conn"] is held[0] and first["new_conn"].is_open() and not held[0].is_open()
    assert story.dicts("connection_disposed")[0]["message"] == "recyling connection"


def test_184_nobody_waits_behind_a_connect_of_somebody_else(make_pool: MakePool, cassandra: FakeCassandra) -> None:
    pool = make_pool(pool_size=2, prefill=False, pool_timeout=0.2, use_threadlocal=False, timeout=20)
    pool.put(pool.get())
    held = pool.get()
    connecting, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        connecting.set()
        go_on.wait(20)

    cassandra.on_connect = slowly
    thread = threading.Thread(target=lambda: pool.put(pool.checkout(timeout=None)))
    thread.start()
    assert connecting.wait(20)
    began = time.monotonic()
    with pytest.raises(NoConnectionAvailable):
        pool.get()
    assert time.monotonic() - began < 10, "0.2 s, and not as long as the connect takes"
    pool.put(held)
    pool.put(pool.get())
    go_on.set()
    thread.join(30)
    assert not thread.is_alive()


def test_put_returns_what_it_is_given_from_any_thread(make_pool: MakePool) -> None:
    pool = make_pool(pool_size=2, pool_timeout=0)
    theirs = in_thread(pool.get)
    mine = pool.get()
    assert mine is not theirs and pool.checkedout() == 2
    pool.put(theirs)
    assert pool.checkedout() == 1 and pool.get() is mine
    in_thread(lambda: pool.put(mine))
    assert pool.checkedout() == 0
    assert in_thread(lambda: (pool.get(), pool.checkedout()))[1] == 1
    other = pool.get()  # what the other thread returned is not mine any more
    assert pool.checkedout() == 2
    pool.put(other)


def test_a_second_return_in_a_thread_takes_it_from_nobody(make_pool: MakePool) -> None:
    pool = make_pool(pool_size=1, pool_timeout=0)
    outer = pool.get()
    inner = pool.get()
    pool.put(inner)
    theirs = in_thread(pool.get)
    assert theirs is outer
    pool.put(outer)
    assert pool.checkedout() == 1, "the other thread has it now"


def test_tasks_of_a_thread_have_connections_of_their_own(make_pool: MakePool) -> None:
    pool = make_pool(pool_size=2)

    async def main() -> set[int]:
        both = asyncio.Barrier(2)

        async def work() -> int:
            connection = pool.get()
            assert pool.get() is connection
            await both.wait()
            pool.put(connection)
            return id(connection)

        return set(await asyncio.gather(work(), work()))

    assert len(asyncio.run(main())) == 2 and pool.checkedin() == 2


def test_a_changed_keyspace_is_set_back(make_pool: MakePool, cassandra: FakeCassandra) -> None:
    pool = make_pool(pool_size=1)
    connection = pool.get()
    connection.set_keyspace("Keyspace2")
    connection.set_keyspace("Keyspace2")  # it is there: no call
    assert connection.describe_cluster_name() == "Keyspace2" and connection.keyspace == "Keyspace2"
    with pytest.raises(t.InvalidRequestException, match="'none' does not exist"):
        connection.set_keyspace("none")
    assert connection.keyspace == "Keyspace2"
    pool.put(connection)
    assert pool.execute("describe_cluster_name") == KEYSPACE
    assert cassandra.streams[0].calls.count("set_keyspace") == 4 and len(pool) == 1
    with pool.connection() as c:
        c.set_keyspace("Keyspace2")
    assert pool.execute("describe_cluster_name") == KEYSPACE
    cassandra.keyspaces.discard(KEYSPACE)
    connection = pool.get()
    connection.set_keyspace("Keyspace2")
    pool.put(connection)
    assert len(pool) == 0, "it cannot be set back, so nobody gets it"


def test_a_listener_that_raises_is_logged(make_pool: MakePool, story: Story, caplog: pytest.LogCaptureFixture) -> None:
    def raises(dic: dict[str, Any]) -> None:
        raise ValueError("a bug of the listener's")

    pool = make_pool(pool_size=1, listeners=[{"connection_checked_out": raises, "connection_created": raises}, story])
    with caplog.at_level(logging.ERROR, "fastpool"):
        insert(pool)
    assert story.count("connection_checked_out") == 1 and pool.checkedin() == 1
    assert any("failed on connection_checked_out" in text for text in caplog.messages)


def test_tasks_wait_in_the_same_line(make_pool: MakePool, cassandra: FakeCassandra, story: Story) -> None:
    pool = make_pool(pool_size=1, recycle=0)

    async def main() -> None:
        async def work(number: int) -> None:
            async with pool.aconnection() as c:
                c.set_keyspace("Keyspace2")
                await asyncio.to_thread(c.insert, b"%d" % number, PARENT, column(b"v"), ONE)

        await asyncio.gather(*map(work, range(3)))

    asyncio.run(main())
    assert len(cassandra.rows) == 3 and story.count("connection_recycled") == 3
    assert story.count("connection_checked_out") == story.count("connection_checked_in") == 3
    assert pool.execute("describe_cluster_name") == KEYSPACE and pool.checkedin() == 1
