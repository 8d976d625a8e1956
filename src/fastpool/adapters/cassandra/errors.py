"""The errors of a SessionPool that are the driver's errors, too."""

# mypy: disallow-subclassing-any=False

from __future__ import annotations

import cassandra
import cassandra.pool

from ... import _errors


class NoConnectionsAvailable(
    _errors.NoConnectionsAvailable, cassandra.OperationTimedOut, cassandra.pool.NoConnectionsAvailable
):
    """No permit was free within the caller's timeout.

    It is a subclass of the driver's OperationTimedOut and NoConnectionsAvailable, too: code that catches the driver's
    client-side timeout handles a wait for a permit like a request that took too long. ``errors`` and
    ``last_host`` are None: no host was asked.
    """

    def __init__(self, *args: object) -> None:
        Exception.__init__(self, *args)  # OperationTimedOut's own would make a message of `errors` and `last_host`


class PoolDeadlock(_errors.PoolDeadlock, NoConnectionsAvailable):
    """The caller would have waited for ever: the owner of every permit waits for a permit itself."""
