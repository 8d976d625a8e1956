"""``fastpool.adapters.redis.asyncio``: drop-ins for redis.asyncio's pools; docs/redis.md lists the differences."""

from ..errors import AllServersUnavailable, MaxConnectionsError, NoConnectionsAvailable, NotInUse, PoolDeadlock
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
