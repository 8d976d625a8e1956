"""The errors of the pools: redis-py's under its names, each a fastpool error, too."""

from __future__ import annotations

import redis
from redis import exceptions

from ... import _errors

# redis-py before 5.3 raises its ConnectionError where later versions raise the subclass.
_TooMany: type[redis.ConnectionError] = getattr(exceptions, "MaxConnectionsError", redis.ConnectionError)


class MaxConnectionsError(_TooMany, _errors.NoConnectionsAvailable):  # type: ignore[misc, valid-type]
    """All ``max_connections`` connections are in use, and this pool does not wait."""


class NoConnectionsAvailable(redis.ConnectionError, _errors.NoConnectionsAvailable):
    """No connection within the pool's ``timeout``."""


class PoolDeadlock(_errors.PoolDeadlock, NoConnectionsAvailable):
    """The caller would have waited for ever: the owner of every connection waits for one itself."""


class AllServersUnavailable(_errors.AllServersUnavailable, redis.ConnectionError):
    """Every one of ``servers`` refused; the last one's error is ``__cause__``."""


class NotInUse(_errors.LeaseError, KeyError):
    """The connection that was returned is not out: it was returned before, or is another pool's."""

    __str__ = Exception.__str__  # KeyError's would show the text in quotation marks
