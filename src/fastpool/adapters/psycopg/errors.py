"""The errors of psycopg_pool's drop-ins: psycopg's OperationalError, and ours."""

from __future__ import annotations

import psycopg

from ... import _errors


class PoolClosed(psycopg.OperationalError, _errors.PoolClosed):
    """The pool is closed, or was closed while the caller waited, or has not been opened yet."""


class PoolTimeout(psycopg.OperationalError, _errors.NoConnectionsAvailable):
    """No connection within the caller's time."""


class PoolDeadlock(PoolTimeout, _errors.PoolDeadlock):
    """The caller could never have got a connection: raised at once, whatever the timeout."""


class TooManyRequests(psycopg.OperationalError, _errors.PoolOverloaded):
    """``max_waiting`` callers are in line already."""


class NotReturnable(ValueError, _errors.LeaseError):
    """The connection is not out, or not this pool's: it cannot be returned here."""


class Unfit(Exception):
    """Raised by the driver's reset for a connection that is to be closed, after it has logged why."""


for _error in (PoolClosed, PoolTimeout, PoolDeadlock, TooManyRequests, NotReturnable):
    _error.__module__ = "fastpool.adapters.psycopg"
del _error
