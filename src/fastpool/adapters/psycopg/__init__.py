"""``fastpool.adapters.psycopg``: a drop-in for psycopg_pool; docs/psycopg.md lists the differences."""

from . import base as base
from .errors import NotReturnable, PoolClosed, PoolDeadlock, PoolTimeout, TooManyRequests
from .null_pool import NullConnectionPool
from .null_pool_async import AsyncNullConnectionPool
from .pool import ConnectionPool
from .pool_async import AsyncConnectionPool

__all__ = [
    "AsyncConnectionPool",
    "AsyncNullConnectionPool",
    "ConnectionPool",
    "NotReturnable",
    "NullConnectionPool",
    "PoolClosed",
    "PoolDeadlock",
    "PoolTimeout",
    "TooManyRequests",
]
