"""What takes the place of aiohappybase's pool: change ``aiohappybase`` to ``fastpool.aio``, and nothing else."""

from __future__ import annotations

from .adapters.aiohappybase import ConnectionPool, NoConnectionsAvailable, PoolDeadlock

__all__ = ["ConnectionPool", "NoConnectionsAvailable", "PoolDeadlock"]
