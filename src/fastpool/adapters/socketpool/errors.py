"""The errors of socketpool's pool under its names; each is a fastpool error, too. socketpool need not be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _errors

# socketpool's own classes, so that code that catches them still does; Exception where socketpool is not installed.
if TYPE_CHECKING:

    class _MaxTries(Exception): ...

    class _MaxConnections(Exception): ...

else:
    try:
        from socketpool.pool import MaxConnectionsError as _MaxConnections
        from socketpool.pool import MaxTriesError as _MaxTries
    except ImportError:
        _MaxTries = _MaxConnections = Exception


class MaxTriesError(_errors.PoolError, _MaxTries):
    """The factory made ``retry_max`` connections, and none of them was connected."""


class MaxConnectionsError(_errors.NoConnectionsAvailable, _MaxConnections):
    """``max_size`` connections are in use, and none came back within ``timeout``."""


class PoolDeadlock(_errors.PoolDeadlock, MaxConnectionsError):
    """The caller would have waited for ever: the holder of every connection waits for one itself."""
