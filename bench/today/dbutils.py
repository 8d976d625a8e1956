"""DBUtils' PooledDB and the drop-in for it, with psycopg2 on a PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any

from tests.pool.real_servers import postgres_server

NAME = "DBUtils PooledDB (psycopg2)"

Block = Callable[[], AbstractContextManager[Callable[[], object]]]


def server() -> AbstractContextManager[str]:
    """A PostgreSQL of its own."""
    started: AbstractContextManager[str] = postgres_server()
    return started


@contextmanager
def ours(address: str, size: int) -> Iterator[Block]:
    """The drop-in."""
    with _blocks("fastpool.adapters.dbutils", address, size) as block:
        yield block


@contextmanager
def theirs(address: str, size: int) -> Iterator[Block]:
    """DBUtils' own."""
    with _blocks("dbutils.pooled_db", address, size) as block:
        yield block


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
