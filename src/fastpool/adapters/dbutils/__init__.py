"""``fastpool.adapters.dbutils``: a drop-in for DBUtils' PooledDB; docs/dbutils.md lists the differences."""

from .cursor import SteadyDBCursor
from .errors import (
    InvalidConnection,
    InvalidConnectionError,
    InvalidCursor,
    InvalidCursorError,
    NotSupportedError,
    PooledDBError,
    SteadyDBError,
    TooManyConnections,
    TooManyConnectionsError,
)
from .pool import PooledDB, __version__
from .pooled import PooledDedicatedDBConnection, PooledSharedDBConnection
from .sharing import SharedDBConnection
from .steady import SteadyDBConnection, connect

__all__ = [
    "InvalidConnection",
    "InvalidConnectionError",
    "InvalidCursor",
    "InvalidCursorError",
    "NotSupportedError",
    "PooledDB",
    "PooledDBError",
    "PooledDedicatedDBConnection",
    "PooledSharedDBConnection",
    "SharedDBConnection",
    "SteadyDBConnection",
    "SteadyDBCursor",
    "SteadyDBError",
    "TooManyConnections",
    "TooManyConnectionsError",
    "__version__",
    "connect",
]
