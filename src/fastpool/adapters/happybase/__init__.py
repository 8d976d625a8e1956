"""``fastpool.adapters.happybase``: the drop-in for happybase's pool."""

from .pool import ConnectionPool, HappybaseDriver, NoConnectionsAvailable, PoolDeadlock, install, uninstall
from .singleton import HappybaseConnectionPool

__all__ = [
    "ConnectionPool",
    "HappybaseConnectionPool",
    "HappybaseDriver",
    "NoConnectionsAvailable",
    "PoolDeadlock",
    "install",
    "uninstall",
]
