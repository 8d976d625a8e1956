"""Every drop-in takes `shared` and `shared_max`, and keeps the cap of the name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import fastpool
from fastpool._shared.reading import shared_pools
from fastpool.adapters import poodle, socketpool
from fastpool.adapters.happybase import HappybaseConnectionPool
from fastpool.testing import HBaseServer

from ._cassandra_session import Cluster, Session
from ._connectors import Fake

OPTIONS: dict[str, Any] = {"shared": "one", "shared_max": 2}


@pytest.fixture(autouse=True)
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pages").mkdir(mode=0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))


@pytest.fixture(scope="module")
def hbase() -> Iterator[HBaseServer]:
    with HBaseServer() as server:
        yield server


@contextmanager
def two(make: Any) -> Iterator[tuple[Any, Any]]:
    """Two pools of the name, as two processes have them."""
    with make(name="first") as first, make(name="second") as second:
        yield first, second


def keeps_the_cap(first: Any, second: Any) -> None:
    held = [first.checkout(timeout=5), first.checkout(timeout=5)]
    with pytest.raises(fastpool.NoConnectionsAvailable, match="2 of 2"):
        second.checkout(timeout=0)
    first.checkin(held.pop())
    other = second.checkout(timeout=10)
    assert [(page.name, page.shared_max) for page in shared_pools()] == [("one", 2)]
    second.checkin(other)
    first.checkin(held.pop())


def test_happybase(hbase: HBaseServer) -> None:
    def make(**options: Any) -> Any:
        return fastpool.ConnectionPool(3, host=hbase.host, port=hbase.port, **OPTIONS, **options)

    with two(make) as pools:
        keeps_the_cap(*pools)


def test_the_pool_of_a_process(hbase: HBaseServer) -> None:
    def make(**options: Any) -> Any:
        return HappybaseConnectionPool(hbase.host, hbase.port, 3, **OPTIONS, **options)

    with two(make) as pools:
        keeps_the_cap(*pools)


def test_aiohappybase(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with (
            fastpool.aio.ConnectionPool(3, host=hbase.host, port=hbase.port, name="first", **OPTIONS) as first,
            fastpool.aio.ConnectionPool(3, host=hbase.host, port=hbase.port, name="second", **OPTIONS) as second,
        ):
            held = [await first.checkout(), await first.checkout()]
            with pytest.raises(fastpool.NoConnectionsAvailable, match="2 of 2"):
                await second.checkout(timeout=0)
            first.checkin(held.pop())
            second.checkin(await second.checkout(timeout=10))
            first.checkin(held.pop())

    asyncio.run(asyncio.wait_for(main(), 30))


def test_pycassa(make_pool: Any) -> None:
    first, second = (
        make_pool(pool_size=3, logging_name=name, use_threadlocal=False, **OPTIONS) for name in ("first", "second")
    )
    assert (len(first), len(second)) == (2, 0), "prefill opens what is free now"
    keeps_the_cap(first, second)


def test_cassandra() -> None:
    pytest.importorskip("cassandra", reason="cassandra-driver is not installed")
    from fastpool.adapters.cassandra import SessionPool

    session = Session(Cluster(at_once=True))
    with two(lambda **options: SessionPool(session, max_concurrent=3, **OPTIONS, **options)) as pools:
        keeps_the_cap(*pools)


def test_socketpool() -> None:
    with two(lambda **options: socketpool.ConnectionPool(Fake, max_size=3, **OPTIONS, **options)) as pools:
        Fake.made, Fake.refusals = [], []
        keeps_the_cap(*pools)


def test_poodle() -> None:
    with two(lambda **options: poodle.Pool(object, max_size=3, **OPTIONS, **options)) as pools:
        keeps_the_cap(*pools)
