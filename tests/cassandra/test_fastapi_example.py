"""The FastAPI example, run as its server would run it, with a real Cassandra 5.0."""

from __future__ import annotations

import asyncio
import importlib.util
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tools.cassandra.cluster import Cluster

from ._driver import PATIENCE, cassandra, silent

httpx = pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("fastapi", reason="FastAPI is not installed")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fastapi_cassandra.py"
pytestmark = pytest.mark.skipif(not EXAMPLE.is_file(), reason="the tests run without the checkout around them")


@pytest.fixture(scope="module")
def nodes(cluster_of: Callable[..., Cluster]) -> Cluster:
    return cluster_of(version="5.0.2")


@pytest.fixture
def app(nodes: Cluster) -> Any:
    spec = importlib.util.spec_from_file_location("fastapi_cassandra_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    (node,) = nodes.nodes
    return example.create_app(
        lambda: cassandra.cluster.Cluster([node.host], port=node.native_port, protocol_version=5), max_concurrent=2
    )


def test_what_it_serves(nodes: Cluster, app: Any) -> None:
    key = uuid.uuid4()
    user = {"id": str(key), "name": "ada", "email": "ada@example.org"}

    async def main() -> None:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app", timeout=PATIENCE)
        async with app.router.lifespan_context(app), client:
            pool = app.state.users.pool
            assert (await client.get(f"/users/{key}")).status_code == 404
            put = await client.put(f"/users/{key}", params={"name": user["name"], "email": user["email"]})
            assert put.status_code == 204
            paths = [f"/users/{key}", f"/blocking/users/{key}"] * 50
            answers = await asyncio.gather(*(client.get(path) for path in paths))
            assert [answer.json() for answer in answers] == [user] * 100
            assert pool.stats().waits > 0 and pool.stats().leased == 0
            health = (await client.get("/health")).json()
            assert [host["address"] for host in health["hosts"]] == ["127.0.0.1"]
            assert health["permits"] == {"max": 2, "leased": 0, "waiting": 0}
            with silent(nodes.nodes[0]):
                slow = await asyncio.gather(*(client.get(f"/users/{key}") for _ in range(3)))
                assert [answer.status_code for answer in slow] == [503] * 3
                assert {answer.text.rpartition(" ")[2] for answer in slow} >= {"OperationTimedOut"}
                assert (await client.get("/health")).status_code == 503
            assert (await client.delete(f"/users/{key}")).status_code == 204
            assert (await client.get(f"/users/{key}")).status_code == 404
        assert pool.closed and pool.driver.shared.get().is_shutdown

    asyncio.run(main())
