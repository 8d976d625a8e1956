"""``fastpool.adapters.redis``: drop-ins for redis-py's pools; docs/redis.md lists the differences.

``fastpool.adapters.redis.asyncio`` has those for ``redis.asyncio``, and is imported when it is first touched.
"""

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

from .errors import AllServersUnavailable, MaxConnectionsError, NoConnectionsAvailable, NotInUse, PoolDeadlock
from .pool import BlockingConnectionPool, ConnectionPool
from .sentinel import SentinelConnectionPool

__all__ = [
    "AllServersUnavailable",
    "BlockingConnectionPool",
    "ConnectionPool",
    "MaxConnectionsError",
    "NoConnectionsAvailable",
    "NotInUse",
    "PoolDeadlock",
    "SentinelConnectionPool",
]


def __getattr__(name: str) -> _ModuleType:
    if name == "asyncio":
        return _import_module(f"{__name__}.asyncio")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
