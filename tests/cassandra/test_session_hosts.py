"""SessionPool's warm, health and monitor with a real cluster of three nodes on three addresses."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastpool.adapters.cassandra import HostHealth, SessionPool
from tools.cassandra.cluster import Cluster

from ._driver import KEYSPACE, PATIENCE, InFlight, connected, silent, until

from cassandra.policies import HostFilterPolicy, RoundRobinPolicy  # isort: skip  # after the driver's event loops

ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
INTERVAL = 3.0
ROUND = 2.0  # what a round may take on a busy machine, when all hosts answer or refuse


@pytest.fixture(scope="module")
def nodes(cluster_of: Callable[..., Cluster]) -> Cluster:
    return cluster_of(version="5.0.2", nodes=3)


@pytest.fixture
def session(nodes: Cluster) -> Iterator[Any]:
    with connected(nodes) as cluster, cluster.connect(KEYSPACE) as session:
        until(lambda: len(session.get_pool_state()) == 3, "the driver is connected to all three")
        yield session


def by_address(hosts: list[HostHealth]) -> dict[str, HostHealth]:
    return {host.address: host for host in sorted(hosts, key=lambda host: host.address)}


def test_each_host_is_really_asked_itself(session: Any) -> None:
    seen = InFlight(session)
    with SessionPool(session, max_concurrent=1) as pool:
        held = pool.checkout()
        hosts = by_address(pool.health(timeout=PATIENCE))
        pool.checkin(held)
    assert list(hosts) == ADDRESSES
    for host in hosts.values():
        assert (host.datacenter, host.rack, host.release_version) == ("datacenter1", "rack1", "5.0.2")
        assert (host.is_up, host.connections, host.in_flight, host.error) == (True, 1, 0, None)
        assert host.latency_ms is not None and 0 < host.latency_ms < PATIENCE * 1000
    asked = sorted([host.address for host in future.attempted_hosts] for future in seen.futures)
    assert asked == [[address] for address in ADDRESSES], "one query each, that no other host has seen"


def test_warm_sends_one_query_to_each(session: Any) -> None:
    seen = InFlight(session)
    with SessionPool(session) as pool:
        assert dict(sorted(pool.warm(timeout=PATIENCE).items())) == dict.fromkeys(ADDRESSES)
    assert sorted(future.attempted_hosts[0].address for future in seen.futures) == ADDRESSES


def test_a_host_that_does_not_answer_holds_up_nobody(nodes: Cluster, session: Any) -> None:
    with SessionPool(session) as pool:
        pool.health(timeout=PATIENCE)
        with silent(nodes.nodes[1]):
            began = time.monotonic()
            hosts = by_address(pool.health())
            took = time.monotonic() - began
            assert 4.5 < took < 5 + ROUND, "the limit is 5 s"
            told = hosts["127.0.0.2"].error
            assert told is not None and told.startswith(("TimeoutError", "OperationTimedOut"))
            assert hosts["127.0.0.1"].healthy and hosts["127.0.0.3"].healthy
            assert hosts["127.0.0.2"].is_up, "the driver has not noticed yet: only the question shows it"
        until(lambda: all(host.healthy for host in pool.health()), "it answers again")


@pytest.mark.parametrize("where", ["thread", "task"])
def test_a_node_that_ends_and_comes_back_is_seen(nodes: Cluster, session: Any, where: str) -> None:
    """Stopped: told within the interval. Back: the alerts end, and it is asked again."""
    node = nodes.nodes[2]
    alerts: list[tuple[float, list[HostHealth]]] = []
    ready, over = threading.Event(), threading.Event()
    monitors: list[Any] = []

    def on_alert(hosts: list[HostHealth]) -> None:
        alerts.append((time.monotonic(), hosts))
        raise ValueError("a callback that fails is survived")

    async def in_task() -> None:
        monitors.append(pool.monitor(INTERVAL, on_alert))
        ready.set()
        await asyncio.to_thread(over.wait, 4 * PATIENCE)

    with SessionPool(session) as pool:
        if where == "thread":
            monitors.append(pool.monitor(INTERVAL, on_alert))
        else:
            loop = threading.Thread(target=lambda: asyncio.run(in_task()))
            loop.start()
            assert ready.wait(PATIENCE)
        (monitor,) = monitors
        until(lambda: monitor.rounds >= 1, "the first round comes at once")
        assert alerts == []
        node.stop()
        ended = time.monotonic()
        until(lambda: alerts, "told of the node")
        told, hosts = alerts[0]
        assert told - ended <= INTERVAL + ROUND
        assert [host.address for host in hosts] == ["127.0.0.3"] and hosts[0].error
        assert hosts[0].connections == 0 or hosts[0].is_up is False
        until(lambda: len(alerts) >= 2, "told again in the next round")
        with pool.session(timeout=PATIENCE) as s:
            s.execute("SELECT * FROM users")  # the others serve
        node.start()
        back = time.monotonic()
        until(lambda: all(host.healthy for host in monitor.hosts), "well again")
        print(f"told {told - ended:.1f} s after its end, well {time.monotonic() - back:.1f} s after its start")
        assert by_address(monitor.hosts)["127.0.0.3"].latency_ms is not None and monitor.running
        count, rounds = len(alerts), monitor.rounds
        until(lambda: monitor.rounds >= rounds + 2, "two more rounds")
        assert len(alerts) == count
        monitor.stop()
        over.set()
        if where == "task":
            loop.join(PATIENCE)
        assert not monitor.running
    nodes.wait_until_all_up()


def test_a_host_that_the_policy_leaves_out_is_not_asked(nodes: Cluster) -> None:
    policy = HostFilterPolicy(RoundRobinPolicy(), predicate=lambda host: host.address != "127.0.0.3")
    with connected(nodes, policy) as cluster, SessionPool(cluster, KEYSPACE) as pool:
        until(lambda: len(pool.driver.shared.get().get_pool_state()) == 2, "connected to two")
        hosts = by_address(pool.health(timeout=PATIENCE))
        assert [host.connections for host in hosts.values()] == [1, 1, 0]
        left_out = hosts["127.0.0.3"]
        assert left_out.healthy and left_out.latency_ms is left_out.error is None
        assert sorted(pool.warm(timeout=PATIENCE)) == ADDRESSES[:2]
