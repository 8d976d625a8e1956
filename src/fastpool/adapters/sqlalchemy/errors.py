"""The errors of an engine's pool: each is SQLAlchemy's TimeoutError, and fastpool's error of the same meaning."""

from __future__ import annotations

from sqlalchemy import exc

from ... import _errors


class TimeoutError(_errors.NoConnectionsAvailable, exc.TimeoutError):
    """No connection was free within the pool's ``timeout``."""

    code = "3o7r"  # SQLAlchemy's page about it


class PoolDeadlock(_errors.PoolDeadlock, TimeoutError):
    """The caller would have waited for ever.  Never raised for what an engine checks out: any thread may return it."""


class PoolOverloaded(_errors.PoolOverloaded, exc.TimeoutError):
    """``max_waiting`` callers are in line already."""


class PoolClosed(_errors.PoolClosed, exc.TimeoutError):
    """The pool was closed by its ``close()``; ``dispose()`` does not close it."""


class AllServersUnavailable(_errors.AllServersUnavailable, exc.TimeoutError):
    """Every one of ``servers`` refused; the last one's error is ``__cause__``."""


_KINDS: dict[type[_errors.PoolError], type[_errors.PoolError]] = {
    _errors.PoolOverloaded: PoolOverloaded,
    _errors.PoolClosed: PoolClosed,
    _errors.AllServersUnavailable: AllServersUnavailable,
}


def as_sqlalchemys(error: _errors.PoolError) -> _errors.PoolError:
    """Return an error of fastpool's as one that is SQLAlchemy's, too; unchanged if it is that already."""
    kind = _KINDS.get(type(error))
    return error if kind is None else kind(*error.args).with_traceback(error.__traceback__)
