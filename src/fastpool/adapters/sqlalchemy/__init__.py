"""``fastpool.adapters.sqlalchemy``: pools for SQLAlchemy's engines; docs/sqlalchemy.md lists the differences.

::

    engine = create_engine(url, poolclass=FastPool, pool_size=10, max_lifetime=1800)
    engine = create_async_engine(url, poolclass=AsyncFastPool)
"""

from .aio import AsyncFastPool
from .errors import AllServersUnavailable, PoolClosed, PoolDeadlock, PoolOverloaded, TimeoutError
from .pool import FastPool

__all__ = [
    "AllServersUnavailable",
    "AsyncFastPool",
    "FastPool",
    "PoolClosed",
    "PoolDeadlock",
    "PoolOverloaded",
    "TimeoutError",
]
