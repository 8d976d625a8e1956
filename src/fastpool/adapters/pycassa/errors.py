"""The exceptions of pycassa's pool; each is a fastpool exception, too."""

from __future__ import annotations

from ... import _errors


class AllServersUnavailable(_errors.AllServersUnavailable):
    """None of the pool's servers could be connected to; ``__cause__`` is the last one's error."""


class NoConnectionAvailable(_errors.NoConnectionsAvailable):
    """All connections of the pool are out, and none came back within ``pool_timeout`` seconds."""


class PoolDeadlock(_errors.PoolDeadlock, NoConnectionAvailable):
    """The caller would have waited for ever: the owner of every lease waits for a connection itself."""


class MaximumRetryException(_errors.PoolError):
    """An operation failed on ``max_retries`` connections more than its own; ``__cause__`` is the last error."""


class NoServerForRetry(MaximumRetryException, AllServersUnavailable):
    """A MaximumRetryException whose last attempt found no server to connect to: it is both errors."""


class InvalidRequestError(_errors.LeaseError):
    """A connection was returned twice, or used by a caller that does not hold it."""
