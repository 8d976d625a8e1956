"""redis-py's pool for a server that Sentinel finds, replaced."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from typing import Any

import redis.sentinel

from ..._errors import LeaseError
from .pool import ConnectionPool


class SentinelConnectionPool(ConnectionPool, redis.sentinel.SentinelConnectionPool):
    """redis.sentinel.SentinelConnectionPool, replaced:
    ``sentinel.master_for("mymaster", connection_pool_class=SentinelConnectionPool)``.

    After a failover idle connections to the old master are closed, those in use when they are returned.
    ``timeout=…`` makes callers wait for a connection.
    """

    _library = redis.sentinel.SentinelConnectionPool

    def __init__(self, service_name: str, sentinel_manager: Any, **kwargs: Any) -> None:
        super().__init__(service_name, sentinel_manager, **kwargs)

    def release(self, connection: Any) -> None:
        """Return a connection; one to a server that is no longer the master is closed."""
        if self.owns_connection(connection):
            super().release(connection)
            return
        try:
            self.checkin(connection, True)
        except LeaseError:
            pass

    def reset(self) -> None:
        """As :meth:`ConnectionPool.reset`; the master is asked for anew."""
        super().reset()
        proxy = getattr(self, "proxy", None)
        if proxy is not None:
            proxy.reset()

    def __repr__(self) -> str:
        return redis.sentinel.SentinelConnectionPool.__repr__(self)
