"""What the tests of fastpool.aio share: a pool, a question to it, and an answer that comes late."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from ._scripted import Call

aio = pytest.importorskip("fastpool.aio", reason="needs aiohappybase", exc_type=ImportError)
aiohappybase = pytest.importorskip("aiohappybase")  # only now: see fastpool.adapters._idl

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


class Late:
    """A script: the reply to the row ``key`` waits until it is let go."""

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
        """Cancel a call for the row while it is answered, and have the answer come all the same."""
        task = asyncio.create_task(ask(pool, self.key))
        assert await asyncio.to_thread(self.arrived.wait, WITHIN_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        self.go.set()
        assert await asyncio.to_thread(self.sent.wait, WITHIN_S)
