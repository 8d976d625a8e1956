"""fastpool.adapters.redis with real servers that fail over, and with crowds: `make test-redis`."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel

from fastpool.adapters.redis import BlockingConnectionPool, SentinelConnectionPool
from fastpool.adapters.redis import asyncio as adapter
from tests.concurrency._told import soon
from tests.pool.fake_driver import until
from tests.pool.real_servers import free_port, redis_sentinel, redis_server

from ._redis import address, came
from ._settle import wait_until_readable

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]

__all__ = ["address"]  # a fixture

PATIENCE = 60


# ---- Sentinel


@pytest.fixture
def sentinels() -> Iterator[list[tuple[str, int]]]:
    """A sentinel that knows a master and its replica."""
    with ExitStack() as stack:
        master, replica = free_port(), free_port()
        stack.enter_context(redis_server(master))
        stack.enter_context(
            redis_server(replica, "--replicaof", f"127.0.0.1 {master}", "--repl-diskless-sync-delay", "0")
        )
        port = int(stack.enter_context(redis_sentinel(master)).partition(":")[2])
        sentinel = redis.sentinel.Sentinel([("127.0.0.1", port)])
        patiently(lambda: sentinel.discover_slaves("mymaster"))
        patiently(lambda: redis.Redis("127.0.0.1", replica).info()["master_link_status"] == "up")
        yield [("127.0.0.1", port)]


def patiently(condition: Any) -> Any:
    """Like until(), for what takes other programs some time, and may raise meanwhile."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if value := condition():
                return value
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_failover_that_sentinel_makes(sentinels: list[tuple[str, int]]) -> None:
    manager = redis.sentinel.Sentinel(sentinels)
    client = manager.master_for(
        "mymaster", connection_pool_class=SentinelConnectionPool, max_connections=4, timeout=PATIENCE, retry=None
    )
    replicas = manager.slave_for("mymaster", connection_pool_class=SentinelConnectionPool)
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool) and "mymaster(master)" in repr(pool)
    client.set("a", 1)
    patiently(lambda: replicas.get("a") == b"1")
    old = pool.master_address
    idle, held = pool.get_connection(), pool.get_connection()
    pool.release(idle)
    manager.sentinels[0].execute_command("SENTINEL", "FAILOVER", "mymaster")
    patiently(lambda: manager.discover_master("mymaster") != old)
    patiently(lambda: client.set("a", 2) and pool.master_address != old)
    assert not pool.owns_connection(held)
    pool.release(held)
    assert not held.is_connected
    assert all((c.host, c.port) == pool.master_address for c in pool._get_free_connections())
    pool.reset()
    assert pool.master_address is None
    assert client.get("a") == b"2"
    for one in (client, replicas):
        one.connection_pool.close()


def test_sentinels_pool_takes_no_servers() -> None:
    manager = redis.sentinel.Sentinel([("127.0.0.1", 1)])
    with pytest.raises(ValueError, match="servers"):
        manager.master_for("mymaster", connection_pool_class=SentinelConnectionPool, servers=["here:1"])


def test_a_failover_for_tasks(sentinels: list[tuple[str, int]]) -> None:
    async def work() -> None:
        manager = redis.asyncio.sentinel.Sentinel(sentinels)
        client = manager.master_for(
            "mymaster", connection_pool_class=adapter.SentinelConnectionPool, timeout=PATIENCE, max_connections=4
        )
        pool = client.connection_pool
        await client.set("a", 1)
        old = pool.master_address
        held = await pool.get_connection()
        await manager.sentinels[0].execute_command("SENTINEL", "FAILOVER", "mymaster")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if await client.set("a", 2) and pool.master_address != old:
                    break
            except redis.RedisError:
                pass
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        await pool.release(held)
        assert await soon(lambda: not held.is_connected, PATIENCE)
        assert await client.get("a") == b"2"
        await client.aclose()
        await pool.aclose()
        for one in manager.sentinels:
            await one.aclose()

    asyncio.run(work())


# ---- cluster


def test_a_cluster() -> None:
    port = free_port()
    with redis_server(port, "--cluster-enabled", "yes", "--cluster-port", str(free_port())):
        with redis.Redis("127.0.0.1", port) as node:
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            patiently(lambda: "cluster_state:ok" in str(node.execute_command("CLUSTER", "INFO")))
        # it takes a class of pools only with a URL, and passes on few of a pool's arguments
        kind = functools.partial(BlockingConnectionPool, min_size=1, timeout=PATIENCE)
        cluster = redis.cluster.RedisCluster.from_url(f"redis://127.0.0.1:{port}", connection_pool_class=kind)
        cluster.set("a", 1)
        assert cluster.get("a") == b"1"
        pipe = cluster.pipeline()
        pipe.set("b", 2).get("b")
        assert pipe.execute() == [True, b"2"]
        pools = {node.redis_connection.connection_pool for node in cluster.get_nodes()}
        assert all(type(pool) is BlockingConnectionPool and pool.stats().checkouts for pool in pools)
        cluster.close()


# ---- crowds


def test_sixty_four_threads_on_eight_connections(address: tuple[str, int]) -> None:
    """Nobody waits for much longer than all others, nobody is served much more rarely: no figures of the machine's."""
    pool = BlockingConnectionPool(8, PATIENCE, host=address[0], port=address[1])
    client = redis.Redis(connection_pool=pool)
    stop = threading.Event()
    served = [0] * 64

    def work(number: int) -> None:
        while not stop.is_set():
            assert client.ping()
            served[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    until(lambda: sum(served) > 64 * 100)
    stop.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert min(served) > 0.5 * sum(served) / 64
    assert pool.stats().connects == 8
    pool.close()


def test_a_restart_under_load() -> None:
    port = free_port()
    pool = BlockingConnectionPool(8, PATIENCE, host="127.0.0.1", port=port)
    client = redis.Redis(connection_pool=pool)
    stop = threading.Event()
    wrong: list[Any] = []
    served = [0] * 16

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                got = client.echo(f"{number}")
            except redis.ConnectionError:
                time.sleep(0.01)
                continue
            served[number] += 1
            if got != f"{number}".encode():
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    with redis_server(port):
        for thread in threads:
            thread.start()
        until(lambda: min(served) > 20)
    with redis_server(port):
        served[:] = [0] * 16
        until(lambda: min(served) > 20)  # all are served again
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert wrong == []
    assert pool.stats().leased == 0
    pool.close()


# ---- TLS


def test_tls(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    tls = free_port()
    files = {"--tls-cert-file": "cert.pem", "--tls-key-file": "key.pem", "--tls-ca-cert-file": "ca.pem"}
    options = [word for name, file in files.items() for word in (name, str(tmp_path / file))]
    with redis_server(None, "--tls-port", str(tls), "--tls-auth-clients", "no", *options):
        url, ca = f"rediss://127.0.0.1:{tls}", str(tmp_path / "ca.pem")
        pool = BlockingConnectionPool.from_url(url, max_connections=2, ssl_ca_certs=ca)
        client = redis.Redis(connection_pool=pool)
        for turn in range(5):
            assert client.set("a", "x" * 100_000 * turn) and len(client.get("a") or b"") == 100_000 * turn
        assert pool.stats().connects == 1  # tickets and large replies cost nothing
        (idle,) = pool._get_free_connections()
        idle._sock.sendall(b"PING\r\n")
        wait_until_readable(idle._sock)
        assert client.echo("mine") == b"mine"
        assert pool.stats().closed["desync"] == 1
        pool.close()

        async def work() -> None:
            pool = adapter.ConnectionPool.from_url(url, max_connections=2, ssl_ca_certs=ca)
            client = redis.asyncio.Redis(connection_pool=pool)
            for turn in range(1, 5):
                await client.set("a", "x" * 100_000 * turn)
                assert len(await client.get("a")) == 100_000 * turn
            assert pool.stats().connects == 1
            (idle,) = pool._get_free_connections()
            idle._writer.write(b"PING\r\n")
            await came(idle)
            assert await client.echo("mine") == b"mine"
            assert pool.stats().closed["desync"] == 1
            await pool.aclose()

        asyncio.run(work())
