"""``fastpool.adapters.socketpool``: a drop-in for socketpool's pool; docs/socketpool.md lists the differences.

``backend_thread``, ``backend_gevent`` and ``backend_eventlet`` are imported when they are first touched.
"""

from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

from . import backend_thread
from .conn import Connector, TcpConnector, UnixConnector
from .pool import ConnectionPool, MaxConnectionsError, MaxTriesError

__all__ = [
    "ConnectionPool",
    "Connector",
    "MaxConnectionsError",
    "MaxTriesError",
    "TcpConnector",
    "UnixConnector",
    "backend_thread",
]


def __getattr__(name: str) -> _ModuleType:
    if name in ("backend_gevent", "backend_eventlet"):
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
