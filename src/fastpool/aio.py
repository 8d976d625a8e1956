"""The replacement for aiohappybase: change ``aiohappybase`` to ``fastpool.aio``, and nothing else.

The pool is ours; ``Connection``, ``Table``, ``Batch`` and the defaults are aiohappybase's own.
"""

from __future__ import annotations

from .adapters.aiohappybase.pool import ConnectionPool, NoConnectionsAvailable, PoolDeadlock  # isort: skip  # the first
from aiohappybase import DEFAULT_HOST, DEFAULT_PORT, Batch, Connection, Table

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "Batch",
    "Connection",
    "ConnectionPool",
    "NoConnectionsAvailable",
    "PoolDeadlock",
    "Table",
]
