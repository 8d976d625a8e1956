"""``fastpool.adapters.aiohappybase``: the drop-in for aiohappybase's pool."""

from .pool import AiohappybaseDriver, ConnectionPool, NoConnectionsAvailable, PoolDeadlock

__all__ = ["AiohappybaseDriver", "ConnectionPool", "NoConnectionsAvailable", "PoolDeadlock"]
