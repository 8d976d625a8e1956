"""SQLAlchemy's QueuePool and FastPool: the pool's own part of a connect and close, and the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import repeat
from typing import Any

from .candidates import Address, Candidate
from .findings import Target
from .ratios import Cycles
from .stubs import Stub

_MODULES = {"FastPool": "fastpool.adapters.sqlalchemy", "QueuePool": "sqlalchemy.pool"}


def _records(pool: Any) -> Cycles:
    def cycles(n: int) -> None:
        for _ in repeat(None, n):
            pool._do_return_conn(pool._do_get())

    return cycles


def _whole(pool: Any) -> Cycles:
    def cycles(n: int) -> None:
        for _ in repeat(None, n):
            pool.connect().close()

    return cycles


@contextmanager
def _on_stubs(kind: str, way: Callable[[Any], Cycles], size: int, address: Address | None) -> Iterator[Cycles]:
    pool = getattr(import_module(_MODULES[kind]), kind)(Stub, pool_size=size)
    cycles = way(pool)
    cycles(1)
    yield cycles
    pool.dispose()


def _pair(what: str, way: Callable[[Any], Cycles]) -> tuple[Candidate, Candidate]:
    return (
        Candidate(f"fastpool's FastPool, {what}", "SQLAlchemy", "sqlalchemy", partial(_on_stubs, "FastPool", way)),
        Candidate(f"SQLAlchemy QueuePool, {what}", "SQLAlchemy", "sqlalchemy", partial(_on_stubs, "QueuePool", way)),
    )


PAIRS = (
    (*_pair("_do_get + _do_return_conn", _records), Target(3)),
    (*_pair("connect + close", _whole), Target(1.1)),
)
"""(ours, theirs, by how much ours is to be faster)."""
