"""redis-py's pool for asyncio and a server that Sentinel finds, replaced."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from typing import Any

import redis.asyncio.sentinel

from .pool import ConnectionPool


class SentinelConnectionPool(ConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool):
    """redis.asyncio.sentinel.SentinelConnectionPool, replaced, as
    :class:`fastpool.adapters.redis.SentinelConnectionPool` is."""

    _library = redis.asyncio.sentinel.SentinelConnectionPool

    def __init__(self, service_name: str, sentinel_manager: Any, **kwargs: Any) -> None:
        super().__init__(service_name, sentinel_manager, **kwargs)

    def owns_connection(self, connection: Any) -> bool:
        """Whether it leads to the master that was found last; any replica will do in a pool of replicas."""
        return not self.is_master or self.master_address == (connection.host, connection.port)

    async def release(self, connection: Any) -> None:
        """Return a connection; one to a server that is no longer the master is closed."""
        if not self.owns_connection(connection):
            connection.mark_for_reconnect()
        await super().release(connection)

    def reset(self) -> None:
        """As :meth:`ConnectionPool.reset`; the master is asked for anew."""
        super().reset()
        self.master_address = self.slave_rr_counter = None

    def __repr__(self) -> str:
        return redis.asyncio.sentinel.SentinelConnectionPool.__repr__(self)
