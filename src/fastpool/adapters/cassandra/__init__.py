"""``fastpool.adapters.cassandra``: permits on one shared session of cassandra-driver."""

from .errors import NoConnectionsAvailable, PoolDeadlock
from .health import HostHealth
from .monitor import Monitor
from .pool import SessionPool
from .session import AwaitingSession, LeasedSession

__all__ = [
    "AwaitingSession",
    "HostHealth",
    "LeasedSession",
    "Monitor",
    "NoConnectionsAvailable",
    "PoolDeadlock",
    "SessionPool",
]
