"""psycopg_pool on a real PostgreSQL: each operation is one query on a connection in autocommit mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

from tests.pool.real_servers import postgres_server

NAME = "psycopg_pool"

Block = Callable[[], AbstractContextManager[Callable[[], object]]]


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL server of its own; yields its address."""
    with postgres_server() as address:
        yield address


@contextmanager
def _opened(module: str, address: str, size: int) -> Iterator[Block]:
    host, _, port = address.rpartition(":")
    given: dict[str, Any] = {
        "kwargs": {"host": host, "port": port, "user": "postgres", "dbname": "postgres", "autocommit": True},
        "min_size": size,
        "timeout": 60.0,
        "open": False,
    }
    with import_module(module).ConnectionPool(**given) as pool:
        pool.wait()

        @contextmanager
        def block() -> Iterator[Callable[[], object]]:
            with pool.connection() as conn:
                yield lambda: conn.execute("SELECT 1").fetchone()

        yield block


def ours(address: str, size: int) -> AbstractContextManager[Block]:
    """The drop-in."""
    return _opened("fastpool.adapters.psycopg", address, size)


def theirs(address: str, size: int) -> AbstractContextManager[Block]:
    """psycopg_pool itself."""
    return _opened("psycopg_pool", address, size)
