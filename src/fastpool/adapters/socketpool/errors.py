"""What socketpool's pool raises: its errors by their names, and ours. Its library need not be installed."""

# mypy: disallow-subclassing-any=False

from __future__ import annotations

from typing import Any

from ... import _errors


def _of_library(name: str) -> Any:
    """socketpool's own class, so that code that catches it still does; Exception where socketpool is not installed."""
    try:
        from socketpool import pool
    except ImportError:
        return Exception
    return getattr(pool, name)


class MaxTriesError(_errors.PoolError, _of_library("MaxTriesError")):
    """Each of ``retry_max`` connections that the factory made said at once that it is not connected."""


class MaxConnectionsError(_errors.NoConnectionsAvailable, _of_library("MaxConnectionsError")):
    """``max_size`` connections are in use, and none came back within ``timeout``."""


class PoolDeadlock(_errors.PoolDeadlock, MaxConnectionsError):
    """The caller would have waited for ever: the holder of every connection waits for one itself."""
