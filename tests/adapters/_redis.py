"""Helpers for the tests of redis-py's drop-ins: a scripted server, pools on it, connections of the user's own kind."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

from fastpool.adapters.redis import ConnectionPool
from fastpool.adapters.redis import asyncio as adapter
from tests.concurrency._told import soon
from tests.pool.real_servers import redis_server

from ._resp import PATIENCE, RespServer

Make = Callable[..., Any]

# redis-py before 5.3 has only the general one
TooMany = getattr(redis, "MaxConnectionsError", redis.ConnectionError)


@pytest.fixture
def fake() -> Iterator[RespServer]:
    server = RespServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Where a real Redis listens; the test is skipped if it is not installed."""
    with redis_server() as address:
        host, _, port = address.partition(":")
        yield host, int(port)


@pytest.fixture
def make(fake: RespServer) -> Iterator[Make]:
    made = []

    def make(kind: Any = ConnectionPool, *args: Any, **kwargs: Any) -> Any:
        where = {} if "connection_class" in kwargs else {"host": fake.host, "port": fake.port}
        pool = kind(*args, **where | kwargs)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.close()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def protocol(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def connected(c: Any) -> bool:
    return c._sock is not None


class Own:
    """A connection class of the user's own, that is none of redis-py's."""

    def __init__(self, **kwargs: Any) -> None:
        self.kwargs = kwargs
        self.pid = os.getpid()
        self.connected = False
        self.unread = False

    def connect(self) -> None:
        self.connected = True

    def disconnect(self) -> None:
        self.connected = False

    def can_read(self, timeout: float = 0) -> bool:
        return self.unread


class AsyncOwn:
    """Such a class for asyncio."""

    def __init__(self, **kwargs: Any) -> None:
        self.is_connected = False
        self.unread = False

    async def connect(self) -> None:
        self.is_connected = True

    async def disconnect(self) -> None:
        self.is_connected = False

    async def can_read(self) -> bool:
        return self.unread

    async def can_read_destructive(self) -> bool:
        return self.unread


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work(), PATIENCE)

    return asyncio.run(bounded())


@asynccontextmanager
async def opened(fake: RespServer, kind: Any = adapter.ConnectionPool, **kwargs: Any) -> AsyncIterator[Any]:
    pool = kind(**{"host": fake.host, "port": fake.port} | kwargs)
    try:
        yield pool
    finally:
        await pool.aclose()


async def came(c: Any, least: int = 1) -> None:
    """Wait until the loop has read so many bytes, or (0) the end."""
    assert await soon(lambda: len(c._reader._buffer) >= least or c._reader.at_eof(), PATIENCE)
