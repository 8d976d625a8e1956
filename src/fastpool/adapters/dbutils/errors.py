"""The errors of DBUtils' PooledDB and SteadyDB under their names; each is a fastpool error, too.

DBUtils need not be installed. Where it is, each is a subclass of its error, so that code that catches that still does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _errors

if TYPE_CHECKING:

    class _Pooled(Exception): ...

    class _Invalid(_Pooled): ...

    class _NotSupported(_Pooled): ...

    class _TooMany(_Pooled): ...

    class _Steady(Exception): ...

    class _InvalidCursor(_Steady): ...

else:
    try:
        from dbutils.pooled_db import InvalidConnectionError as _Invalid
        from dbutils.pooled_db import NotSupportedError as _NotSupported
        from dbutils.pooled_db import PooledDBError as _Pooled
        from dbutils.pooled_db import TooManyConnectionsError as _TooMany
        from dbutils.steady_db import InvalidCursorError as _InvalidCursor
        from dbutils.steady_db import SteadyDBError as _Steady
    except ImportError:
        _Pooled = _Invalid = _NotSupported = _TooMany = _Steady = _InvalidCursor = Exception


class PooledDBError(_errors.PoolError, _Pooled):
    """Anything that PooledDB itself has to complain of; errors of the database module pass through untouched."""


class InvalidConnectionError(_errors.LeaseError, PooledDBError, _Invalid):
    """A pooled connection, or one of its cursors, was used after it had been closed."""


class NotSupportedError(PooledDBError, _NotSupported):
    """The database module is not thread-safe: its ``threadsafety`` is 0 or unknown."""


class TooManyConnectionsError(_errors.NoConnectionsAvailable, PooledDBError, _TooMany):
    """``maxconnections`` are in use, and the caller does not wait, or has waited for its time."""


class PoolClosed(_errors.PoolClosed, InvalidConnectionError):
    """The pool is closed: it gives no more connections."""


class PoolOverloaded(_errors.PoolOverloaded, TooManyConnectionsError):
    """``max_waiting`` callers are in line already."""


class PoolDeadlock(_errors.PoolDeadlock, TooManyConnectionsError):
    """The caller would have waited for ever: the holder of every connection waits for one itself."""


class SteadyDBError(_errors.PoolError, _Steady):
    """Anything that a steady connection or its cursor has to complain of."""


class InvalidCursorError(SteadyDBError, _InvalidCursor):
    """The cursor could not be opened."""


InvalidConnection = InvalidConnectionError
TooManyConnections = TooManyConnectionsError
InvalidCursor = InvalidCursorError
