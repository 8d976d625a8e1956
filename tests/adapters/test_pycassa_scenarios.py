"""The scenarios of pycassa's own tests of its pool (its test_connection_pooling): PC-1 to PC-19."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastpool.adapters.pycassa import (
    AllServersUnavailable,
    ConnectionPool,
    InvalidRequestError,
    MaximumRetryException,
    NoConnectionAvailable,
    QueuePool,
    StatsLogger,
)
from fastpool.adapters.pycassa import ttypes as t

from ._cassandra import KEYSPACE, ONE, PARENT, Call, FakeCassandra, Story, column, insert

MakePool = Callable[..., ConnectionPool]


@pytest.fixture
def stats() -> StatsLogger:
    return StatsLogger()


@pytest.fixture
def make(make_pool: MakePool, stats: StatsLogger) -> MakePool:
    """Make a pool for the server, which `stats` listens to."""
    return lambda **arguments: make_pool(**{"listeners": [stats], **arguments})


def in_threads(n: int, work: Callable[[int], object]) -> None:
    """Run `work(0)` … `work(n-1)` in threads of their own; raises what the first of them raised."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def fail_each_once(cassandra: FakeCassandra) -> None:
    """Let the next operation on each connection of now fail with TimedOutException."""
    left = list(cassandra.streams)

    def script(call: Call) -> Any:
        if call.stream in left:
            left.remove(call.stream)
            return t.TimedOutException()
        return None

    cassandra.script = script


def test_pc1_a_pool_with_credentials_works_and_is_disposed() -> None:
    """PC-1: credentials, an insert, dispose()."""
    with FakeCassandra(password="secret") as server:
        for kind in (ConnectionPool, QueuePool):
            credentials = {"username": "ann", "password": "secret"}
            pool = kind(KEYSPACE, [server.address], credentials=credentials, timeout=10)
            insert(pool)
            pool.dispose()
            assert pool.checkedin() == 0
            insert(pool)  # it may be used on
            pool.close()


def test_pc2_an_empty_list_of_servers_is_refused_by_prefill() -> None:
    """PC-2: an empty list of servers."""
    with pytest.raises(AllServersUnavailable, match=r"^Cannot connect to any servers as server list is empty!$"):
        ConnectionPool(KEYSPACE, server_list=[])
    pool = ConnectionPool(KEYSPACE, server_list=[], prefill=False)
    with pytest.raises(AllServersUnavailable, match="empty"):
        pool.get()


def test_pc3_a_function_gives_the_list_once_and_nothing_connects(cassandra: FakeCassandra) -> None:
    """PC-3: the servers are given by a function."""
    story = Story()
    calls = []

    def servers() -> list[str]:
        calls.append(1)
        return ["a.example:1", "b.example:2"]

    pool = ConnectionPool(KEYSPACE, servers, prefill=False, listeners=[story])
    assert len(calls) == 1 and len(pool) == 0
    (told,) = story.dicts("server_list_obtained")
    assert sorted(told["server_list"]) == ["a.example:1", "b.example:2"] == sorted(pool.server_list)
    assert told["level"] == "debug" and told["pool_id"] == id(pool)


@pytest.mark.parametrize("prefill", [True, False])
def test_pc4_to_pc7_and_pc10_overflow(make: MakePool, stats: StatsLogger, prefill: bool) -> None:
    """PC-4, PC-5, PC-6, PC-7: five connections and five more; PC-10: none of them opened ahead."""
    pool = make(pool_size=5, max_overflow=5, prefill=prefill, use_threadlocal=False)
    counts = stats.stats
    assert counts["created"]["success"] == (5 if prefill else 0)
    held = []
    for n in range(1, 11):
        held.append(pool.get())
        assert counts["created"]["success"] == (max(n, 5) if prefill else n) and counts["checked_out"] == n
    assert (pool.size(), pool.overflow(), pool.checkedin(), pool.checkedout()) == (5, 5, 0, 10)

    # PC-4: the 11th
    text = "ConnectionPool limit of size 5overflow 5 reached, unable to obtain connection after 0 seconds"
    pool.pool_timeout = 0.1
    with pytest.raises(NoConnectionAvailable) as caught:
        pool.get()
    pool.pool_timeout = 30
    assert str(caught.value).startswith(text)
    assert counts["created"]["success"] == 10 and counts["at_max"] == 1

    # PC-5: ten come back, and five are kept
    for n in range(1, 6):
        pool.return_conn(held.pop(0))
        assert counts["checked_in"] == n and counts["disposed"]["success"] == 0
    for n in range(1, 6):
        pool.put(held.pop(0))
        assert counts["checked_in"] == 5 + n and counts["disposed"]["success"] == n
    assert (pool.overflow(), pool.checkedin(), pool.checkedout()) == (0, 5, 0)

    # PC-6: five that were kept, then five new ones
    held = [pool.get() for _ in range(5)]
    assert counts["created"]["success"] == 10, "those that came back are used first"
    held += [pool.get() for _ in range(5)]
    assert counts["created"]["success"] == 15 and counts["checked_out"] == 20

    # PC-7: a second return of each
    for connection in held:
        connection.return_to_pool()
    assert counts["checked_in"] == 20 and counts["disposed"]["success"] == 10
    gone = [connection for connection in held if not connection.is_open()]
    assert len(gone) == 5
    for connection in held:
        if connection in gone:
            connection.return_to_pool()  # closed by the pool: nothing happens
        else:
            with pytest.raises(InvalidRequestError, match=r"^Connection was already checked in or disposed$"):
                connection.return_to_pool()
    assert counts["checked_in"] == 20 and counts["disposed"]["success"] == 10


def test_idle_connections_are_used_in_turn(make: MakePool) -> None:
    pool = make(pool_size=3, prefill=True, use_threadlocal=False)
    held = [pool.get() for _ in range(3)]
    returned = [held[1], held[2], held[0]]
    for connection in returned:
        pool.put(connection)
    assert pool.config.order == "fifo"
    assert [pool.get() for _ in range(3)] == returned, "in the order of their return, as pycassa's queue gives them"


def test_pc8_a_thread_has_one_connection(make: MakePool, stats: StatsLogger) -> None:
    """PC-8: one thread, with use_threadlocal."""
    pool = make(pool_size=5, max_overflow=5, prefill=True, use_threadlocal=True)
    held = [pool.get() for _ in range(10)]
    assert len(set(map(id, held))) == 1 and stats.stats["checked_out"] == 1
    for connection in held:
        pool.return_conn(connection)
    assert stats.stats["checked_in"] == 1 and stats.stats["created"]["success"] == 5


def test_pc9_threads_have_connections_of_their_own(make: MakePool, stats: StatsLogger) -> None:
    """PC-9: five threads, with use_threadlocal."""
    pool = make(pool_size=5, max_overflow=5, prefill=True, use_threadlocal=True)
    for turn in (1, 2):
        together = threading.Barrier(5)
        seen: list[object] = []

        def work(_n: int, together: threading.Barrier = together, seen: list[object] = seen) -> None:
            connection = pool.get()
            seen.append(connection)
            together.wait(30)
            pool.put(connection)

        in_threads(5, work)
        assert len(set(map(id, seen))) == 5
        assert stats.stats["created"]["success"] == 5 and stats.stats["checked_out"] == 5 * turn


@pytest.mark.parametrize(("threadlocal", "prefill"), [(False, True), (True, False)])
def test_pc11_recycle(make: MakePool, stats: StatsLogger, threadlocal: bool, prefill: bool) -> None:
    """PC-11: recycle."""
    pool = make(pool_size=5, max_overflow=5, prefill=prefill, recycle=1, use_threadlocal=threadlocal)
    for _ in range(10):
        insert(pool)
    assert stats.stats["recycled"] == 5
    assert stats.stats["disposed"]["success"] == 5, "once each"
    assert pool.checkedin() == len(pool) == (5 if prefill else 1)


@pytest.mark.parametrize("threadlocal", [False, True])
def test_pc12_one_of_two_servers_is_bad(
    cassandra: FakeCassandra, stats: StatsLogger, closed_port: Callable[[], int], threadlocal: bool
) -> None:
    """PC-12: a good server and one that refuses."""
    servers = [cassandra.address, f"127.0.0.1:{closed_port()}"]
    pool = ConnectionPool(
        KEYSPACE, servers, pool_size=5, max_overflow=5, timeout=10, listeners=[stats], use_threadlocal=threadlocal,
        backoff=(0.0, 0.0),
    )  # fmt: skip
    assert stats.stats["failed"] in (4, 5), "without a pause, each second connect asks the bad one first"
    turn = [threading.Event() for _ in range(8)]
    turn[0].set()

    def work(number: int) -> None:
        assert turn[number].wait(30)  # one after the other, and none returns its connection before all have one
        connection = pool.get()
        turn[number + 1].set()
        assert turn[7].wait(30)
        pool.put(connection)

    in_threads(7, work)
    assert stats.stats["created"]["success"] == 7
    assert stats.stats["failed"] in (6, 7), "two more connections"
    pool.close()


@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize("threadlocal", [True, False])
def test_pc13_pc14_an_operation_moves_to_a_new_connection(
    make: MakePool, cassandra: FakeCassandra, stats: StatsLogger, prefill: bool, threadlocal: bool
) -> None:
    """PC-13, and PC-14 with use_threadlocal: a connection fails once, four times over."""
    pool = make(pool_size=1, prefill=prefill, use_threadlocal=threadlocal)
    for n in range(1, 5):
        pool.put(pool.get())
        fail_each_once(cassandra)
        insert(pool, b"%d" % n)
        assert stats.stats["failed"] == n and cassandra.rows[b"%d" % n] == {b"c": b"value"}
    assert pool.checkedin() == len(pool) == 1


def test_pc14_all_connections_are_corrupt(make: MakePool, cassandra: FakeCassandra, stats: StatsLogger) -> None:
    """PC-14: five connections fail in five threads."""
    pool = make(pool_size=5, use_threadlocal=True)
    fail_each_once(cassandra)
    together = threading.Barrier(5)

    def work(number: int) -> None:
        connection = pool.get()
        together.wait(30)
        connection.insert(b"%d" % number, PARENT, column(b"value"), ONE)
        connection.return_to_pool()

    in_threads(5, work)
    assert stats.stats["failed"] == 5 and len(cassandra.rows) == 5
    assert pool.checkedin() == len(pool) == 5


@pytest.mark.parametrize("prefill", [True, False])
@pytest.mark.parametrize("threadlocal", [True, False])
def test_pc15_the_retries_end(
    make: MakePool, cassandra: FakeCassandra, stats: StatsLogger, prefill: bool, threadlocal: bool
) -> None:
    """PC-15: every attempt fails."""
    pool = make(pool_size=5, max_retries=3, prefill=prefill, use_threadlocal=threadlocal)
    cassandra.script = lambda call: t.TimedOutException()
    with pytest.raises(MaximumRetryException) as caught:
        insert(pool)
    assert str(caught.value).startswith("Retried 4 times. Last failure was TimedOutException: ")
    assert isinstance(caught.value.__cause__, t.TimedOutException)
    assert stats.stats["failed"] == 4
    assert pool.checkedout() == 0, "its place is free"
    cassandra.script = None
    insert(pool)


def test_pc16_a_replacement_that_cannot_be_opened_is_a_retry(
    make: MakePool, cassandra: FakeCassandra, stats: StatsLogger
) -> None:
    """PC-16: the replacement cannot be opened."""
    pool = make(pool_size=5, max_retries=3, use_threadlocal=False, backoff=(0.0, 0.0))
    cassandra.script = lambda call: t.TimedOutException()

    def refuse(host: str, port: int) -> Any:
        raise OSError("no sockets left")

    pool.socket_factory = refuse
    with pytest.raises(MaximumRetryException, match=r"^Retried 4 times") as caught:
        insert(pool)
    assert isinstance(caught.value, AllServersUnavailable) and "no sockets left" in str(caught.value)
    assert stats.stats["failed"] == 1 + 3 * 2, "the operation, and three times each of the attempts to connect"
    assert pool.checkedout() == 0


def test_pc17_a_counter_is_not_retried(make: MakePool, cassandra: FakeCassandra, stats: StatsLogger) -> None:
    """PC-17: what is not retried."""
    pool = make(pool_size=5, max_retries=3)
    cassandra.script = lambda call: t.TimedOutException()
    for operation in ("add", "remove_counter"):
        stats.reset()
        with pytest.raises(MaximumRetryException, match=r"^Retried 1 times"):
            argument = t.CounterColumn(name=b"c", value=1) if operation == "add" else ONE
            pool.execute(operation, b"key", PARENT, argument, *([ONE] if operation == "add" else []))
        assert stats.stats["failed"] == 1
    stats.reset()
    with pytest.raises(MaximumRetryException, match=r"^Retried 4 times"):
        pool.execute("add", b"key", PARENT, t.CounterColumn(name=b"c", value=1), ONE, allow_retries=True)
    assert stats.stats["failed"] == 4
    stats.reset()
    with pytest.raises(MaximumRetryException, match=r"^Retried 1 times"):
        pool.execute("insert", b"key", PARENT, column(b"v"), ONE, allow_retries=False)
    assert stats.stats["failed"] == 1


def test_pc18_a_failure_tells_the_request(make: MakePool, cassandra: FakeCassandra) -> None:
    """PC-18: the request in the failure's event."""
    requests: list[Any] = []
    listener = {"connection_failed": lambda dic: requests.append(dic["connection"].info["request"])}
    pool = make(pool_size=1, listeners=[listener])
    fail_each_once(cassandra)
    value = column(b"v")
    pool.execute("insert", b"key", PARENT, value, consistency_level=ONE, allow_retries=True)
    assert requests == [{"method": "insert", "args": (b"key", PARENT, value), "kwargs": {"consistency_level": ONE}}]


def test_pc19_an_applications_error_passes_as_it_is(
    make: MakePool, cassandra: FakeCassandra, stats: StatsLogger
) -> None:
    """PC-19: errors that are the application's."""
    pool = make(pool_size=1)
    with pytest.raises(t.InvalidRequestException, match="unconfigured table"):
        pool.execute("insert", b"key", t.ColumnParent(column_family="none"), column(b"v"), ONE)
    with pytest.raises(t.NotFoundException):
        pool.execute("get", b"none", t.ColumnPath(column_family="Standard1", column=b"c"), ONE)
    assert stats.stats["failed"] == 0 and stats.stats["created"]["success"] == 1


def test_each_scenario_is_found_by_its_number() -> None:
    own = ["test_pycassa_scenarios.py", "test_pycassa_stats.py"]
    texts = [Path(__file__).with_name(name).read_text(encoding="utf-8").partition("\n")[2] for name in own]
    assert {int(number) for text in texts for number in re.findall(r"\bPC-(\d+)\b", text)} == set(range(1, 29))
