"""psycopg_pool and its drop-in, in each of the three ways to use them, on connections that do nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from itertools import repeat
from typing import Any, Self

from .asyncio_candidates import Use, by_blocks, in_a_loop
from .candidates import Address, Build, Candidate, with_connection
from .findings import Target
from .ratios import Cycles
from .stubs import PgStub

_DROP_IN = "fastpool.adapters.psycopg"


class AsyncPgStub(PgStub):
    """An awaited psycopg connection that does nothing."""

    @classmethod
    async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:  # type: ignore[override]
        return cls()

    async def close(self) -> None:  # type: ignore[override]
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass


@contextmanager
def _opened(module: str, size: int) -> Iterator[Any]:
    with import_module(module).ConnectionPool(connection_class=PgStub, min_size=size, open=False) as pool:
        pool.wait(10)
        yield pool


@contextmanager
def _by_blocks(module: str, size: int, address: Address | None) -> Iterator[Cycles]:
    with _opened(module, size) as pool, with_connection(pool) as cycles:
        yield cycles


@contextmanager
def _by_hand(module: str, size: int, address: Address | None) -> Iterator[Cycles]:
    with _opened(module, size) as pool:

        def cycles(n: int) -> None:
            for _ in repeat(None, n):
                pool.putconn(pool.getconn())

        cycles(1)
        yield cycles


@asynccontextmanager
async def _awaited(module: str, size: int) -> AsyncIterator[Use]:
    make = import_module(module).AsyncConnectionPool
    async with make(connection_class=AsyncPgStub, min_size=size, open=False) as pool:
        await pool.wait(10)
        yield by_blocks(pool.connection)


def _in_a_loop(module: str, size: int, address: Address | None) -> AbstractContextManager[Cycles]:
    build: Callable[[int, Address | None], AbstractContextManager[Cycles]] = in_a_loop(partial(_awaited, module))
    return build(size, address)


def _pair(how: str, build: Any, target: float) -> tuple[Candidate, Candidate, Target]:
    ours: Build = partial(build, _DROP_IN)
    theirs: Build = partial(build, "psycopg_pool")
    return (
        Candidate(f"{_DROP_IN}, {how}", "fastpool", "psycopg", ours),
        Candidate(f"psycopg_pool, {how}", "psycopg_pool", "psycopg_pool", theirs),
        Target(target),
    )


PSYCOPG_PAIRS = (
    _pair("with pool.connection()", _by_blocks, 10),
    _pair("getconn and putconn", _by_hand, 4),
    _pair("async with pool.connection()", _in_a_loop, 3),
)
"""(ours, theirs, how many times as fast ours must be)."""
