"""redis-py's pools and the drop-ins for them, by hand as redis-py's client uses them, on sockets without a server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from itertools import repeat
from typing import Any

from .asyncio_candidates import Use, in_a_loop
from .candidates import Address, Candidate
from .ratios import Cycles

DROP_IN = "fastpool.adapters.redis"


@contextmanager
def _build(module: str, kind: str, size: int, address: Address | None) -> Iterator[Cycles]:
    """Real connections of redis-py's, which both pools look at before each checkout; only nobody answers."""
    others = []

    class Unanswered(import_module("redis").Connection):  # type: ignore[misc]
        def _connect(self) -> socket.socket:
            mine, other = socket.socketpair()
            others.append(other)
            return mine

    pool = getattr(import_module(module), kind)(
        connection_class=Unanswered,
        max_connections=size,
        redis_connect_func=lambda c: c._parser.on_connect(c),  # no handshake
    )

    def cycles(n: int) -> None:
        get, release = pool.get_connection, pool.release
        for _ in repeat(None, n):
            release(get())

    cycles(1)
    yield cycles
    pool.disconnect()
    for other in others:
        other.close()


@asynccontextmanager
async def _awaited(module: str, kind: str, size: int) -> AsyncIterator[Use]:
    others = []

    class Unanswered(import_module("redis.asyncio").Connection):  # type: ignore[misc]
        async def _connect(self) -> None:
            mine, other = socket.socketpair()
            others.append(other)
            self._reader, self._writer = await asyncio.open_connection(sock=mine)

    async def no_handshake(c: Any) -> None:
        c._parser.on_connect(c)

    pool = getattr(import_module(module), kind)(
        connection_class=Unanswered, max_connections=size, redis_connect_func=no_handshake
    )

    async def use(n: int, rest: bool, apart: bool) -> None:
        get, release = pool.get_connection, pool.release
        for _ in repeat(None, n):
            await release(await get())

    yield use
    await pool.disconnect()
    for other in others:
        other.close()


def _in_a_loop(module: str, kind: str, size: int, address: Address | None) -> AbstractContextManager[Cycles]:
    build: Callable[[int, Address | None], AbstractContextManager[Cycles]] = in_a_loop(partial(_awaited, module, kind))
    return build(size, address)


def _pair(kind: str, part: str, build: Any) -> tuple[Candidate, Candidate]:
    ours: Any = partial(build, DROP_IN + part, kind)
    theirs: Any = partial(build, "redis" + part, kind)
    return (
        Candidate(f"{DROP_IN}{part} {kind}", "fastpool", "redis", ours),
        Candidate(f"redis-py {part[1:]} {kind}, real connections".replace("  ", " "), "redis", "redis", theirs),
    )


PAIRS = tuple(
    _pair(kind, part, build)
    for part, build in (("", _build), (".asyncio", _in_a_loop))
    for kind in ("ConnectionPool", "BlockingConnectionPool")
)
"""(ours, theirs)."""
