"""``fastpool.adapters.happybase``: the drop-in for happybase's pool."""

from .pool import ConnectionPool, HappybaseDriver, NoConnectionsAvailable, PoolDeadlock, install, uninstall

__all__ = ["ConnectionPool", "HappybaseDriver", "NoConnectionsAvailable", "PoolDeadlock", "install", "uninstall"]
