"""The errors of a pool.

::

    PoolError(Exception)
    ├── PoolClosed
    ├── NoConnectionsAvailable(PoolError, RuntimeError)
    │   └── PoolDeadlock
    ├── PoolOverloaded
    ├── AllServersUnavailable
    └── LeaseError(PoolError, RuntimeError)

None of them is an OSError: code written for happybase catches ``socket.error`` to mean a broken connection.
"""

from __future__ import annotations

from ._light.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from ._telemetry.stats import LeaseInfo, Stats


class PoolError(Exception):
    """Anything a pool itself has to complain of; a driver's own errors pass through untouched."""


class PoolClosed(PoolError):
    """The pool is closed, or was closed while the caller waited."""


class NoConnectionsAvailable(PoolError, RuntimeError):
    """No connection within the time the caller gave.

    ``phase`` says what the time went on: ``"wait"`` (in line), ``"connect"`` or ``"check"``. ``waited`` is in
    seconds. ``stats`` and ``holders`` describe the pool at that moment.
    """

    phase: str = "wait"
    waited: float = 0.0
    stats: Stats | None = None
    holders: tuple[LeaseInfo, ...] = ()


class PoolDeadlock(NoConnectionsAvailable):
    """The caller could never have got a connection: all leases are held by owners that wait themselves.

    They may wait for this pool, or for another one whose leases are all held by such owners. Only blocks count: a
    connection that was checked out by hand may be returned by anyone. Raised at once, whatever the timeout.
    """


class PoolOverloaded(PoolError):
    """``max_waiting`` callers are in line already."""


class AllServersUnavailable(PoolError):
    """Every server refused; the last server's error is ``__cause__``."""


class LeaseError(PoolError, RuntimeError):
    """A connection was used or returned without a valid lease on it."""


for _error in (
    PoolError,
    PoolClosed,
    NoConnectionsAvailable,
    PoolDeadlock,
    PoolOverloaded,
    AllServersUnavailable,
    LeaseError,
):
    _error.__module__ = "fastpool"
del _error


class OutOfTime(TimeoutError):
    """A check or connect ran out of the checkout's time (by the timer, which may fire a little early under uvloop)."""
