"""SQLAlchemy's QueuePool beside FastPool: an engine's connection, SELECT 1 by psycopg on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import Pool, QueuePool

from fastpool.adapters.sqlalchemy import FastPool
from tests.pool.real_servers import postgres_server as server

__all__ = ["NAME", "ours", "server", "theirs"]

NAME = "SQLAlchemy's QueuePool"
ONE = text("SELECT 1")


@contextmanager
def _engine(kind: type[Pool], address: str, size: int) -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    url = f"postgresql+psycopg://postgres@{address}/postgres?client_encoding=utf8"
    engine = create_engine(url, poolclass=kind, pool_size=size, max_overflow=0, pool_timeout=60)

    @contextmanager
    def block() -> Iterator[Callable[[], object]]:
        with engine.connect() as connection:
            yield partial(connection.scalar, ONE)

    try:
        yield block
    finally:
        engine.dispose()


ours = partial(_engine, FastPool)
theirs = partial(_engine, QueuePool)
