"""``fastpool.adapters.happybase``: the drop-in for happybase's pool."""

from .pool import ConnectionPool, HappybaseDriver, NoConnectionsAvailable, PoolDeadlock, install, uninstall
from .region_pool import RegionPool
from .singleton import HappybaseConnectionPool

__all__ = [
    "ConnectionPool",
    "HappybaseConnectionPool",
    "HappybaseDriver",
    "NoConnectionsAvailable",
    "PoolDeadlock",
    "RegionPool",
    "install",
    "uninstall",
]
