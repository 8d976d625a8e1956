"""SessionPool on async-cassandra's session (Python 3.12 and newer) and a real Cassandra 5.0."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fastpool.adapters.cassandra import NoConnectionsAvailable, SessionPool
from tools.cassandra.cluster import Cluster

from ._driver import KEYSPACE, PATIENCE, InFlight, connected, silent, until

from cassandra import InvalidRequest, OperationTimedOut  # isort: skip  # after the driver's event loops
from cassandra.query import BatchStatement, SimpleStatement  # isort: skip

async_cassandra = pytest.importorskip("async_cassandra", reason="async-cassandra needs Python 3.12")
INSERT = "INSERT INTO users (id, name) VALUES (%s, %s)"


@pytest.fixture(scope="module")
def nodes(cluster_of: Callable[..., Cluster]) -> Cluster:
    return cluster_of(version="5.0.2")


@pytest.fixture
def session(nodes: Cluster) -> Iterator[Any]:
    """async-cassandra's session around one of the driver's; its own close() sleeps for five seconds."""
    with connected(nodes) as cluster:
        yield async_cassandra.AsyncCassandraSession(cluster.connect(KEYSPACE))


def test_its_results_and_methods(session: Any) -> None:
    async def main() -> None:
        async with SessionPool(session, KEYSPACE, max_concurrent=2) as pool:
            await pool.execute(INSERT, (1, "ada"), timeout=PATIENCE)
            result = await pool.execute("SELECT name FROM users WHERE id = 1")
            assert isinstance(result, async_cassandra.AsyncResultSet) and result.one().name == "ada"
            async with pool.asession(timeout=PATIENCE) as s:
                assert isinstance(s, async_cassandra.AsyncCassandraSession) and s.keyspace == KEYSPACE
                insert = await s.prepare("INSERT INTO users (id, name) VALUES (?, ?)")
                batch = BatchStatement()
                for n in range(100):
                    batch.add(insert, (n, f"n{n}"))
                await s.execute_batch(batch)
                query = SimpleStatement("SELECT id FROM users", fetch_size=30)
                assert len(await s.execute(query)) == 100, "all pages"
                stream = await s.execute_stream(query)
                assert len([row async for row in stream]) == 100
            with pytest.raises(InvalidRequest):
                await pool.execute("SELECT * FROM nowhere")
            assert pool.stats().leased == 0
        assert not session.is_closed and (await session.execute("SELECT * FROM users")).rows

    asyncio.run(main())


def test_threads_use_the_drivers_session_inside_it(session: Any) -> None:
    with SessionPool(session) as pool, pool.session() as s:
        assert s.execute("SELECT release_version FROM system.local").one().release_version == "5.0.2"
        assert [host.healthy for host in pool.health(PATIENCE)] == [True]
        assert pool.warm(PATIENCE) == {"127.0.0.1": None}


def test_never_more_than_so_many_of_its_requests(session: Any) -> None:
    seen = InFlight(session._session)

    async def main() -> None:
        async with SessionPool(session, max_concurrent=20, timeout=PATIENCE) as pool:
            await asyncio.gather(*(pool.execute("SELECT * FROM users") for _ in range(1000)))
            assert (pool.stats().leased, seen.most, len(seen.futures)) == (0, 20, 1000)

    asyncio.run(main())


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_a_request_that_was_given_up_keeps_its_permit(nodes: Cluster, session: Any, how: str) -> None:
    """Also where async-cassandra clears the callbacks of a request that took too long."""
    seen = InFlight(session._session)

    async def main() -> None:
        async with SessionPool(session, max_concurrent=1) as pool:
            with silent(nodes.nodes[0]):
                task = asyncio.ensure_future(pool.execute("SELECT * FROM users", timeout=PATIENCE))
                await asyncio.to_thread(until, lambda: seen.now == 1, "it is sent")
                if how == "cancelled":
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                else:
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(task, 0.2)
                with pytest.raises(NoConnectionsAvailable):
                    await pool.execute("SELECT * FROM users", timeout=0.2)
                assert (pool.stats().leased, seen.now) == (1, 1)
            await pool.execute("SELECT * FROM users", timeout=PATIENCE)
            assert seen.most == 1

    asyncio.run(main())


def test_its_own_time_limit(nodes: Cluster, session: Any) -> None:
    """It gives up by asyncio's timer or by the driver's, whichever is first; either way the permit comes back."""

    async def main() -> None:
        async with SessionPool(session, max_concurrent=1) as pool:
            with silent(nodes.nodes[0]):
                for _ in range(5):
                    try:
                        await pool.execute("SELECT * FROM users", timeout=0.3)
                    except (TimeoutError, OperationTimedOut):
                        continue
                    raise AssertionError("nobody answers")
                await asyncio.to_thread(until, lambda: pool.stats().leased == 0, "the driver has ended all")
            await pool.execute("SELECT * FROM users", timeout=PATIENCE)

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:Legacy execution parameters:DeprecationWarning")  # its cluster uses them
def test_its_cluster_is_connected_first(nodes: Cluster) -> None:
    node = nodes.nodes[0]
    cluster = async_cassandra.AsyncCluster([node.host], port=node.native_port, protocol_version=5)

    async def main() -> None:
        with pytest.raises(TypeError, match=r"SessionPool\(await cluster.connect\(\)\)"):
            SessionPool(cluster)
        async with SessionPool(await cluster.connect(), "system") as pool:
            assert (await pool.execute("SELECT key FROM local")).one().key == "local"

    try:
        asyncio.run(main())
    finally:
        cluster._cluster.shutdown()  # its own shutdown sleeps for seconds


def test_its_monitor(session: Any) -> None:
    async def main() -> None:
        async with SessionPool(session) as pool:
            monitor = pool.monitor(0.1)
            await asyncio.to_thread(until, lambda: monitor.rounds >= 2, "two rounds")
            assert monitor.hosts[0].latency_ms and (await pool.awarm()) == {"127.0.0.1": None}
            assert (await pool.ahealth())[0].healthy

    asyncio.run(main())
