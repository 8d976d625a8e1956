"""Helpers of the tests of fastpool.aio: a pool, one call through it, and a reply that comes late."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from ._scripted import Call, ScriptedServer, row

aio = pytest.importorskip("fastpool.aio", reason="needs aiohappybase", exc_type=ImportError)
aiohappybase = pytest.importorskip("aiohappybase")  # imported second: see fastpool.adapters.aiohappybase.idl

WITHIN_S = 20


def run(main: Coroutine[Any, Any, object]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await main

    asyncio.run(bounded())


def pool_to(server: Any, size: int = 1, kind: Any = None, **options: Any) -> Any:
    wire = {"transport": server.transport, "protocol": server.protocol}
    return (kind or aio.ConnectionPool)(size, host=server.host, port=server.port, **wire, **options)


async def ask(pool: Any, key: bytes = b"k", **lease: Any) -> dict[bytes, bytes]:
    async with pool.connection(**lease) as c:
        found: dict[bytes, bytes] = await c.table("t").row(key)
        return found


@contextlib.asynccontextmanager
async def whole_after(server: ScriptedServer, reason: str | None, **options: Any) -> AsyncIterator[Any]:
    """A pool of one, whose connection is closed with ``reason`` (None: kept) by the end; the next caller gets its own
    row."""
    async with pool_to(server, **options) as pool:
        assert await ask(pool, b"before") == row(b"before")
        yield pool
        server.script = None
        assert await ask(pool, b"after", timeout=WITHIN_S) == row(b"after")
        closed = pool.stats().closed
        assert {why: count for why, count in closed.items() if count} == ({} if reason is None else {reason: 1})
        assert pool.stats().connects == server.connections(1) == (1 if reason is None else 2)


class Late:
    """A script: holds the reply to the row ``key`` until ``go`` is set."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.arrived = threading.Event()
        self.go = threading.Event()
        self.sent = threading.Event()

    def __call__(self, call: Call) -> None:
        late = getattr(call.args, "row", None) == self.key
        if late:
            self.arrived.set()
            assert self.go.wait(WITHIN_S)
        try:
            call.stream.send(call.stream.good(call))
        finally:
            if late:
                self.sent.set()

    async def interrupted(self, pool: Any) -> None:
        """Cancel a call while the server holds its reply; then the reply is sent."""
        task = asyncio.create_task(ask(pool, self.key))
        assert await asyncio.to_thread(self.arrived.wait, WITHIN_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        self.go.set()
        assert await asyncio.to_thread(self.sent.wait, WITHIN_S)
