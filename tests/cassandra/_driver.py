"""cassandra-driver's cluster for the nodes of a test, and what a test wants to know of it."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from tools.cassandra.cluster import Cluster, Node

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the driver imports every event loop that is installed, eventlet with its warning
    import cassandra.cluster
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
    from cassandra.policies import ConstantReconnectionPolicy, LoadBalancingPolicy, RoundRobinPolicy

PATIENCE = 60.0  # real seconds: a test that needs so long has failed
KEYSPACE = "fastpool_tests"


def reactor(name: str) -> Any:
    """The driver's event loop of this name: libev, or the one that is there; or asyncio's."""
    if name == "default":
        return cassandra.cluster.DefaultConnection
    from cassandra.io.asyncioreactor import AsyncioConnection

    return AsyncioConnection


@contextmanager
def connected(
    nodes: Cluster, policy: LoadBalancingPolicy | None = None, loop: str = "default", **options: Any
) -> Iterator[Any]:
    """The driver's Cluster, with a keyspace `fastpool_tests` in Cassandra that has a table `users`."""
    profile = ExecutionProfile(load_balancing_policy=policy or RoundRobinPolicy(), request_timeout=PATIENCE)
    made = cassandra.cluster.Cluster(
        [node.host for node in nodes.nodes],
        port=nodes.nodes[0].native_port,
        connection_class=reactor(loop),
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        reconnection_policy=ConstantReconnectionPolicy(0.5),
        **options,
    )
    try:
        with made.connect() as session:
            replication = f"{{'class': 'SimpleStrategy', 'replication_factor': {len(nodes.nodes)}}}"
            session.execute(f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {replication}")
            session.execute(f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.users (id int PRIMARY KEY, name text)")
            session.execute(f"TRUNCATE {KEYSPACE}.users")
        yield made
    finally:
        made.shutdown()


class InFlight:
    """How many requests of a session run at once, counted where the driver begins and ends them."""

    def __init__(self, session: Any) -> None:
        self.futures: list[Any] = []
        self.now = self.most = self.most_on_the_connections = 0
        self._session = session
        self._lock = threading.Lock()
        session.add_request_init_listener(self._begins)

    def _begins(self, future: Any) -> None:
        with self._lock:
            self.futures.append(future)
            self.now += 1
            self.most = max(self.most, self.now)
        future.add_callbacks(self._ends, self._ends)

    def _ends(self, _: Any) -> None:
        with self._lock:
            self.now -= 1

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Meanwhile look at the connections' own figures, too."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.002):
                state = self._session.get_pool_state().values()
                running = sum(sum(one["in_flights"]) for one in state)
                self.most_on_the_connections = max(self.most_on_the_connections, running)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def silent(node: Node) -> Iterator[None]:
    """The node is stopped as by SIGSTOP: its connections stay open, and nothing is answered."""
    assert node.jvm is not None
    processes = psutil.Process(node.jvm.pid).children(recursive=True)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
    """Wait until it holds; the seconds that this took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"{what}: not within {seconds:g} s"
        time.sleep(0.01)
    return time.monotonic() - began
