"""The pools that are compared, each with its own shortest way to check a connection out and in again.

A candidate is built by a context manager that gives a function of ``n``, which does ``n`` cycles; any number of threads
may call it. With ``rest``, the holder of a connection calls that to let others run, and, with ``apart``, calls it once
more after the return, so that others are served before it asks again.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from itertools import repeat
from typing import Any

from . import floor
from .ratios import Cycles
from .stubs import DbApi, PgStub, RedisStub, Stub

Address = tuple[str, int]
"""Where a Thrift server listens; only the pools of happybase connections need one."""

Build = Callable[[int, Address | None], AbstractContextManager[Any]]
"""Gives ``cycles(n, rest=None, apart=False)``; without the two it is a Cycles."""

Rest = Callable[[float], object]
"""``time.sleep`` or a like: called with 0, lets others run."""


@dataclass(frozen=True)
class Candidate:
    """``package`` is the distribution to install, ``module`` the module that it needs."""

    name: str
    package: str | None
    module: str
    build: Build
    blocks: bool = True
    """Do callers wait when all connections are out? If not, it has no place in a comparison under contention."""

    def missing(self) -> str | None:
        """Why it cannot take part, or None."""
        try:
            if importlib.util.find_spec(self.module) is None:
                return "not installed"
        except ImportError:
            return "not installed"
        return None

    def version(self) -> str | None:
        """Its version, None if it is not installed or part of Python."""
        return None if self.package is None else version_of(self.package)


def version_of(package: str) -> str | None:
    """The version of a distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@contextmanager
def empty_floor(size: int, address: Address | None) -> Iterator[Cycles]:
    context = floor.empty()

    def cycles(n: int) -> None:
        for _ in repeat(None, n):
            with context:
                pass

    yield cycles


@contextmanager
def with_connection(pool: Any) -> Iterator[Any]:
    """Cycles of any pool that is used as ``with pool.connection()``."""

    def cycles(n: int, rest: Rest | None = None, apart: bool = False) -> None:
        if rest is None:
            for _ in repeat(None, n):
                with pool.connection():
                    pass
            return
        for _ in repeat(None, n):
            with pool.connection():
                rest(0)
            if apart:
                rest(0)

    cycles(1)
    yield cycles


@contextmanager
def fastpool_pool(size: int, address: Address | None, **options: Any) -> Iterator[Cycles]:
    with import_module("fastpool").Pool(Stub, max_size=size, **options) as pool, with_connection(pool) as cycles:
        yield cycles


@contextmanager
def fastpool_connection_pool(size: int, address: Address | None) -> Iterator[Cycles]:
    host, port = _needed(address)
    pool = import_module("fastpool").ConnectionPool(size, host=host, port=port)
    with pool, with_connection(pool) as cycles:
        yield cycles


@contextmanager
def happybase_connection_pool(size: int, address: Address | None) -> Iterator[Cycles]:
    host, port = _needed(address)
    with with_connection(import_module("happybase").ConnectionPool(size, host=host, port=port)) as cycles:
        yield cycles


@contextmanager
def sqlalchemy_queue_pool(size: int, address: Address | None) -> Iterator[Cycles]:
    pool = import_module("sqlalchemy.pool").QueuePool(Stub, pool_size=size, max_overflow=0)

    def cycles(n: int, rest: Rest | None = None, apart: bool = False) -> None:
        if rest is not None:
            return _resting(n, pool.connect, _close, rest, apart)
        for _ in repeat(None, n):
            pool.connect().close()

    cycles(1)
    yield cycles
    pool.dispose()


@contextmanager
def psycopg_pool(size: int, address: Address | None) -> Iterator[Cycles]:
    make = import_module("psycopg_pool").ConnectionPool
    with make("", connection_class=PgStub, min_size=size, max_size=size, open=False) as pool:
        pool.wait(10)
        with with_connection(pool) as cycles:
            yield cycles


@contextmanager
def dbutils_pooled_db(size: int, address: Address | None) -> Iterator[Cycles]:
    pool = import_module("dbutils.pooled_db").PooledDB(DbApi, maxconnections=size, maxcached=size, blocking=True)
    with connect_and_close(pool) as cycles:
        yield cycles
    pool.close()


@contextmanager
def dbutils_simple_pooled_db(size: int, address: Address | None) -> Iterator[Cycles]:
    with connect_and_close(import_module("dbutils.simple_pooled_db").PooledDB(DbApi, size)) as cycles:
        yield cycles


@contextmanager
def connect_and_close(pool: Any) -> Iterator[Cycles]:
    def cycles(n: int, rest: Rest | None = None, apart: bool = False) -> None:
        if rest is not None:
            return _resting(n, pool.connection, _close, rest, apart)
        for _ in repeat(None, n):
            pool.connection().close()

    cycles(1)
    yield cycles


@contextmanager
def redis_connection_pool(size: int, address: Address | None) -> Iterator[Cycles]:
    pool = import_module("redis").ConnectionPool(connection_class=RedisStub, max_connections=size)
    with _get_and_release(pool) as cycles:
        yield cycles


@contextmanager
def redis_blocking_connection_pool(size: int, address: Address | None) -> Iterator[Cycles]:
    pool = import_module("redis").BlockingConnectionPool(connection_class=RedisStub, max_connections=size)
    with _get_and_release(pool) as cycles:
        yield cycles


@contextmanager
def _get_and_release(pool: Any) -> Iterator[Cycles]:
    def cycles(n: int, rest: Rest | None = None, apart: bool = False) -> None:
        if rest is not None:
            return _resting(n, pool.get_connection, pool.release, rest, apart)
        for _ in repeat(None, n):
            pool.release(pool.get_connection())

    cycles(1)
    yield cycles
    pool.disconnect()


@contextmanager
def _queue(make: Callable[[], Any], size: int) -> Iterator[Any]:
    """A plain queue of stubs, without any care for its content."""
    queue = make()
    for _ in range(size):
        queue.put(Stub())

    def cycles(n: int, rest: Rest | None = None, apart: bool = False) -> None:
        if rest is not None:
            return _resting(n, queue.get, queue.put, rest, apart)
        for _ in repeat(None, n):
            queue.put(queue.get())

    yield cycles


def _queue_of(module: str, name: str) -> Build:
    return lambda size, address: _queue(getattr(import_module(module), name), size)


def _resting(n: int, take: Callable[[], Any], give: Callable[[Any], object], rest: Rest, apart: bool) -> None:
    for _ in repeat(None, n):
        c = take()
        rest(0)
        give(c)
        if apart:
            rest(0)


def _close(c: Any) -> None:
    c.close()


def missing_for(ours: Candidate, theirs: Candidate, address: Address | None) -> str | None:
    """Why the two cannot be compared, or None."""
    if theirs is HAPPYBASE and address is None:
        return "needs a Thrift server"
    return ours.missing() or theirs.missing()


def _needed(address: Address | None) -> Address:
    if address is None:
        raise ValueError("A pool of happybase connections needs the address of a Thrift server")
    return address


FLOOR = Candidate("an empty compiled context manager", "Cython", "Cython", empty_floor)
POOL = Candidate("fastpool.Pool", "fastpool", "fastpool._core", fastpool_pool)
CONNECTION_POOL = Candidate("fastpool.ConnectionPool", "fastpool", "happybase", fastpool_connection_pool)
HAPPYBASE = Candidate("happybase.ConnectionPool", "happybase", "happybase", happybase_connection_pool)

STUBBED = (
    Candidate("SQLAlchemy QueuePool", "SQLAlchemy", "sqlalchemy", sqlalchemy_queue_pool),
    Candidate("psycopg_pool ConnectionPool", "psycopg_pool", "psycopg_pool", psycopg_pool),
    Candidate("DBUtils PooledDB", "DBUtils", "dbutils", dbutils_pooled_db),
    Candidate("DBUtils SimplePooledDB", "DBUtils", "dbutils", dbutils_simple_pooled_db),
    Candidate("redis-py ConnectionPool", "redis", "redis", redis_connection_pool, blocks=False),
    Candidate("redis-py BlockingConnectionPool", "redis", "redis", redis_blocking_connection_pool),
    Candidate("queue.LifoQueue", None, "queue", _queue_of("queue", "LifoQueue")),
)
"""Pools whose connections are stubs here; they are compared with fastpool.Pool."""

SIMPLE_QUEUE = Candidate("queue.SimpleQueue", None, "queue", _queue_of("queue", "SimpleQueue"))
GEVENT_QUEUES = (
    Candidate("gevent.queue.LifoQueue", "gevent", "gevent", _queue_of("gevent.queue", "LifoQueue")),
    Candidate("gevent.queue.SimpleQueue", "gevent", "gevent", _queue_of("gevent.queue", "SimpleQueue")),
)
"""The candidates that hold stubs in one concurrency model (concurrency.py)."""
