"""psycopg_pool on a real PostgreSQL: each operation is one query on a connection in autocommit mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from tests.pool.real_servers import postgres_server as server

__all__ = ["NAME", "ours", "server", "theirs"]

NAME = "psycopg_pool"

Block = Callable[[], AbstractContextManager[Callable[[], object]]]


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


ours = partial(_opened, "fastpool.adapters.psycopg")
theirs = partial(_opened, "psycopg_pool")
