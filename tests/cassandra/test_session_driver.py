"""The statements of docs/cassandra.md about cassandra-driver, checked against the driver."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastpool.adapters.cassandra import SessionPool
from tools.cassandra.cluster import Cluster

from ._driver import KEYSPACE, PATIENCE, cassandra, connected

from cassandra import UnsupportedOperation  # isort: skip  # after the driver's event loops
from cassandra.policies import HostDistance  # isort: skip

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cassandra.md"
SETTERS = [
    f"set_{bound}_{what}"
    for what, bounds in (("connections_per_host", ("core", "max")), ("requests_per_connection", ("min", "max")))
    for bound in bounds
]


@pytest.fixture(scope="module")
def nodes(cluster_of: Callable[..., Cluster]) -> Cluster:
    return cluster_of(version="5.0.2")


@pytest.fixture
def cluster(nodes: Cluster) -> Iterator[Any]:
    with connected(nodes) as made:
        yield made


@pytest.mark.parametrize("setter", SETTERS)
def test_what_the_driver_refuses_and_in_which_words(cluster: Any, setter: str) -> None:
    assert cluster.protocol_version >= 3
    with pytest.raises(UnsupportedOperation) as told:
        getattr(cluster, setter)(HostDistance.LOCAL, 5)
    if PAGE.is_file():
        assert str(told.value) in " ".join(PAGE.read_text(encoding="utf-8").split()), "the page quotes the driver"


def test_one_connection_a_host_whatever_is_asked_of_it(cluster: Any) -> None:
    with SessionPool(cluster, KEYSPACE, max_concurrent=500) as pool:

        async def main() -> None:
            await asyncio.gather(*(pool.execute("SELECT * FROM users", timeout=PATIENCE) for _ in range(2000)))

        asyncio.run(main())
        (state,) = pool.driver.shared.get().get_pool_state().values()
        assert (state["open_count"], len(state["in_flights"])) == (1, 1)
        assert [host.connections for host in pool.health(PATIENCE)] == [1]


def test_the_stream_ids_of_a_connection(cluster: Any) -> None:
    """One less than the protocol has: so many requests of all that ask one host run at once."""
    with cluster.connect() as session:
        (pool,) = session.get_pools()
        (connection,) = pool.get_connections()
        assert (connection.max_in_flight, connection.max_request_id) == (32768, 32767)
        assert connection.orphaned_threshold == 24576


def test_defaults_that_the_page_names() -> None:
    made = cassandra.cluster.Cluster
    assert (made.connect_timeout, made.control_connection_timeout) == (5, 2.0)
    assert (made.idle_heartbeat_interval, made.idle_heartbeat_timeout) == (30, 30)
    assert (made.reconnection_policy.base_delay, made.reconnection_policy.max_delay) == (1.0, 600.0)
    assert made.connect_to_remote_hosts is True
    assert (cassandra.cluster.Session.default_fetch_size, cassandra.cluster.ExecutionProfile().request_timeout) == (
        5000, 10.0,
    )  # fmt: skip
