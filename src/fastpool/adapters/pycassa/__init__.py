"""``fastpool.adapters.pycassa``: a drop-in for pycassa's pool for Cassandra's Thrift interface, on Python 3."""

from . import ttypes
from .errors import AllServersUnavailable, InvalidRequestError, MaximumRetryException, NoConnectionAvailable
from .events import PoolListener
from .logger import PoolLogger, PycassaLogger
from .pool import ConnectionPool, QueuePool
from .stats import StatsLogger
from .transport import default_socket_factory, default_transport_factory, make_ssl_socket_factory
from .wrapper import ConnectionWrapper

__all__ = [
    "AllServersUnavailable",
    "ConnectionPool",
    "ConnectionWrapper",
    "InvalidRequestError",
    "MaximumRetryException",
    "NoConnectionAvailable",
    "PoolListener",
    "PoolLogger",
    "PycassaLogger",
    "QueuePool",
    "StatsLogger",
    "default_socket_factory",
    "default_transport_factory",
    "make_ssl_socket_factory",
    "ttypes",
]
