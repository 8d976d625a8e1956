"""The adapter for pycassa against a real Cassandra 3.11: every kind of call, and what goes wrong with servers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from fastpool.adapters import pycassa
from fastpool.adapters.pycassa import AllServersUnavailable, ConnectionPool, StatsLogger
from fastpool.adapters.pycassa import ttypes as t
from fastpool.testing import FaultProxy
from tests.adapters import _pycassa_story, pycassa_27
from tools.cassandra.cluster import Cluster, Node
from tools.jvm.program import free_ports, listening

from .pycassa_keyspace import ALL, COUNTERS, KEYSPACE, ONE, ROWS, address, column, insert, make_keyspace, value_of

Clusters = Callable[..., Cluster]


@pytest.fixture
def node(cluster_of: Clusters) -> Node:
    """The node of a cluster without authentication, with the keyspace on it."""
    cluster = cluster_of()
    make_keyspace(cluster)
    return cluster.nodes[0]


@pytest.fixture
def pool(node: Node) -> Iterator[ConnectionPool]:
    with ConnectionPool(KEYSPACE, [address(node)], pool_size=2, timeout=30) as pool:
        yield pool


def test_calls_of_every_kind(pool: ConnectionPool) -> None:
    insert(pool, b"row", b"value")
    assert value_of(pool, b"row") == b"value"
    with pytest.raises(t.NotFoundException):
        value_of(pool, b"none")
    with pytest.raises(t.InvalidRequestException, match="unconfigured"):
        pool.execute("insert", b"row", t.ColumnParent(column_family="none"), column(b"v"), ONE)
    changes = [
        t.Mutation(column_or_supercolumn=t.ColumnOrSuperColumn(column=column(b"%d" % n, b"n%d" % n))) for n in range(3)
    ]
    pool.execute("batch_mutate", {b"batch": {"Standard1": changes}}, ONE)
    found = pool.execute("get_slice", b"batch", ROWS, ALL, ONE)
    assert {one.column.name: one.column.value for one in found} == {b"n0": b"0", b"n1": b"1", b"n2": b"2"}
    rows = pool.execute("multiget_slice", [b"row", b"batch", b"none"], ROWS, ALL, ONE)
    assert {key: len(columns) for key, columns in rows.items()} == {b"row": 1, b"batch": 3, b"none": 0}
    assert pool.execute("multiget_count", [b"row", b"batch"], ROWS, ALL, ONE) == {b"row": 1, b"batch": 3}
    assert pool.execute("get_count", b"batch", ROWS, ALL, ONE) == 3
    ranged = pool.execute("get_range_slices", ROWS, ALL, t.KeyRange(start_key=b"", end_key=b"", count=100), ONE)
    assert {slice.key for slice in ranged} >= {b"row", b"batch"}
    for _ in range(3):
        pool.execute("add", b"count", COUNTERS, t.CounterColumn(name=b"c", value=2), ONE)
    path = t.ColumnPath(column_family="Counter1", column=b"c")
    assert pool.execute("get", b"count", path, ONE).counter_column.value == 6
    pool.execute("remove", b"row", t.ColumnPath(column_family="Standard1"), time.time_ns() // 1000, ONE)
    with pytest.raises(t.NotFoundException):
        value_of(pool, b"row")
    families = pool.execute("get_keyspace_description", use_dict_for_col_metadata=True)
    assert sorted(families) == ["Counter1", "Standard1"] and families["Standard1"].column_metadata == {}
    assert pool.execute("describe_version") == "20.1.0"
    rows = pool.execute("execute_cql3_query", b"SELECT cluster_name FROM system.local", t.Compression.NONE, ONE).rows
    assert rows[0].columns[0].value == b"fastpool-tests"
    assert pool.checkedin() == len(pool) == 2, "none of these cost a connection"


def test_wrong_credentials(cluster_of: Clusters) -> None:
    cluster = cluster_of(authentication=True)
    servers = [address(cluster.nodes[0])]
    right = {"username": "cassandra", "password": "cassandra"}
    make_keyspace(cluster, credentials=right)
    stats = StatsLogger()
    with pytest.raises(t.AuthenticationException, match="incorrect"):
        wrong = {"username": "cassandra", "password": "guess"}
        ConnectionPool(KEYSPACE, servers, credentials=wrong, timeout=30, listeners=[stats])
    with ConnectionPool(KEYSPACE, servers, timeout=30, pool_size=1, listeners=[stats]) as pool:
        with pytest.raises(t.InvalidRequestException, match="not logged in"):  # Cassandra asks at the first operation
            insert(pool, b"row")
    assert stats.stats["failed"] == 0, "the server is not to blame"
    with ConnectionPool(KEYSPACE, servers, credentials=right, pool_size=2, timeout=30) as pool:
        insert(pool, b"row")
        assert value_of(pool, b"row") == b"v"


def test_a_keyspace_that_does_not_exist(node: Node) -> None:
    with pytest.raises(t.InvalidRequestException, match="does not exist"):
        ConnectionPool("none", [address(node)], timeout=30)


def test_a_changed_keyspace_is_set_back(pool: ConnectionPool) -> None:
    connection = pool.get()
    connection.set_keyspace("system")
    assert "IndexInfo" in connection.get_keyspace_description()
    pool.put(connection)
    for _ in range(2):  # either connection
        insert(pool, b"row")


def test_connections_that_are_corrupted(node: Node) -> None:
    """Garbage on the wire, replies that end half-way, and connections that are reset, are all survived."""
    stats = StatsLogger()
    with FaultProxy((node.host, node.thrift_port)) as proxy:
        servers = [f"{proxy.host}:{proxy.port}"]
        with ConnectionPool(
            KEYSPACE, servers, pool_size=3, timeout=5, listeners=[stats], use_threadlocal=False
        ) as pool:
            held = [pool.get() for _ in range(3)]
            for connection in held:
                connection.wire.sock.sendall(b"\0\0\0\4what")
            for connection in held:
                pool.put(connection)
            for n in range(9):
                insert(pool, b"garbage-%d" % n)
            assert stats.stats["failed"] <= 3, "once for each of them, at most"
            proxy.reset()
            proxy.heal()
            for n in range(9):
                insert(pool, b"reset-%d" % n)
            assert all(value_of(pool, b"%s-%d" % (what, n)) for what in (b"garbage", b"reset") for n in range(9))
            assert pool.checkedout() == 0


class Load:
    """Threads that insert without a pause, and note when which insert ended, and how."""

    def __init__(self, pool: ConnectionPool, threads: int = 4) -> None:
        self.pool = pool
        self.failed: list[tuple[float, BaseException]] = []
        self.succeeded: list[float] = []
        self.keys: list[bytes] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(threads)]

    def _work(self, thread: int) -> None:
        n = 0
        while not self._over.is_set():
            n += 1
            key = b"%d-%d" % (thread, n)
            began = time.monotonic()
            try:
                insert(self.pool, key)
            except Exception as error:
                self.failed.append((began, error))
                self._over.wait(0.01)
            else:
                self.succeeded.append(time.monotonic())
                self.keys.append(key)

    def succeed(self, n: int, seconds: float = 60) -> None:
        """Wait until `n` more inserts have succeeded."""
        wanted = len(self.succeeded) + n
        deadline = time.monotonic() + seconds
        while len(self.succeeded) < wanted:
            assert time.monotonic() < deadline, f"no success; failures: {self.failed[-3:]}"
            time.sleep(0.005)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def restart(node: Node) -> float:
    """Start the node; returns when its Thrift port was back, by time.monotonic()."""
    back: list[float] = []

    def watch() -> None:
        while not listening(node.host, node.thrift_port):
            time.sleep(0.005)
        back.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    node.start()
    watcher.join(60)
    return back[0]


def test_killed_and_restarted_under_load(node: Node, record_property: Callable[[str, object], None]) -> None:
    """Operations that begin once the port is back succeed, the first within a second; no acknowledged write is lost."""
    with ConnectionPool(KEYSPACE, [address(node)], pool_size=4, timeout=5) as pool:
        with Load(pool) as load:
            load.succeed(50)
            node.kill()
            killed = time.monotonic()
            while not load.failed or load.failed[-1][0] < killed:
                assert time.monotonic() < killed + 60
                time.sleep(0.01)
            back = restart(node)
            load.succeed(200)
        recovered = min(ended for ended in load.succeeded if ended > back - 0.05) - back
        record_property("recovery_s", recovered)
        print(f"recovered {recovered:.3f} s after the port was back; {len(load.failed)} inserts failed before")
        assert recovered <= 1.0
        assert [error for began, error in load.failed if began > back] == []
        assert all(isinstance(error, AllServersUnavailable) for _, error in load.failed), (
            "as pycassa's would, but later"
        )
        assert pool.checkedout() == 0
        for key in load.keys[-300:]:
            assert value_of(pool, key) == b"v"


def test_one_restart_seen_by_connections_that_idle(node: Node) -> None:
    """Connections that were idle during a restart are found dead before they are handed out: not even counters fail."""
    stats = StatsLogger()
    with ConnectionPool(KEYSPACE, [address(node)], pool_size=3, timeout=30, listeners=[stats]) as pool:
        node.kill()
        restart(node)
        time.sleep(0.6)  # longer than check_after: connections used a moment ago are trusted
        pool.execute("add", b"restarted", COUNTERS, t.CounterColumn(name=b"c", value=1), ONE)
        assert stats.stats["failed"] == 0
        assert stats.stats["disposed"]["success"] >= 1


def test_one_of_two_servers_is_killed_under_load(cluster_of: Clusters) -> None:
    """No operation fails at all: each moves to the other server; the one that is back is used again."""
    cluster = cluster_of(nodes=2, heap="320m")
    make_keyspace(cluster, replicas=2)
    first, second = cluster.nodes
    with ConnectionPool(KEYSPACE, [address(first), address(second)], pool_size=4, timeout=5) as pool:
        with Load(pool) as load:
            load.succeed(50)
            assert {lease.server for lease in pool.leases()} <= {(n.host, n.thrift_port) for n in cluster.nodes}
            second.kill()
            load.succeed(300)
            restart(second)
            cluster.wait_until_all_up()
            load.succeed(100)
        assert load.failed == []
        pool.dispose()
        pool.fill()
        held = [pool.checkout() for _ in range(4)]
        assert {connection.server for connection in held} == {address(first), address(second)}
        for connection in held:
            pool.checkin(connection)


def test_one_of_two_servers_is_down_from_the_beginning(node: Node) -> None:
    stats = StatsLogger()
    down = f"{node.host}:{free_ports(1)[0]}"
    with ConnectionPool(KEYSPACE, [address(node), down], pool_size=4, timeout=30, listeners=[stats]) as pool:
        assert len(pool) == 4 and stats.stats["created"]["success"] == 4 and 1 <= stats.stats["failed"] <= 5
        insert(pool, b"row")
    with pytest.raises(AllServersUnavailable, match=r"^An attempt was made to connect to each of the servers twice"):
        ConnectionPool(KEYSPACE, [down], timeout=30)


WITHOUT_FAULTS = [
    "prefilled",
    "overflowing",
    "one_thread",
    "two_threads",
    "recycled",
    "closed_by_its_holder",
    "disposed",
]


def test_pycassa_tells_the_same_story_of_a_real_server(node: Node) -> None:
    try:
        theirs = pycassa_27.run(str(Path(_pycassa_story.__file__)), address(node), "pycassa", *WITHOUT_FAULTS)
    except pycassa_27.Missing as missing:
        pytest.skip(str(missing))
    ours: Any = _pycassa_story.play(address(node), pycassa, t, WITHOUT_FAULTS)
    assert json.loads(json.dumps(ours)) == json.loads(theirs)
