"""DBUtils' PooledDB and the drop-in for it, with psycopg2 on a PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import import_module
from typing import Any

from tests.pool.real_servers import postgres_server as server

__all__ = ["NAME", "ours", "server", "theirs"]

NAME = "DBUtils PooledDB (psycopg2)"

Block = Callable[[], AbstractContextManager[Callable[[], object]]]


@contextmanager
def _blocks(module: str, address: str, size: int) -> Iterator[Block]:
    host, _, port = address.partition(":")
    where: dict[str, Any] = {"host": host, "port": int(port), "user": "postgres", "dbname": "postgres"}
    psycopg2 = import_module("psycopg2")
    pool = import_module(module).PooledDB(
        psycopg2, mincached=size, maxcached=size, maxconnections=size, blocking=True, **where
    )

    @contextmanager
    def block() -> Iterator[Callable[[], object]]:
        with pool.connection() as connection:

            def select() -> object:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                    return cursor.fetchone()

            yield select

    yield block
    pool.close()


ours = partial(_blocks, "fastpool.adapters.dbutils")
theirs = partial(_blocks, "dbutils.pooled_db")
