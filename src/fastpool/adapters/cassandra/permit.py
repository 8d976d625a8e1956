"""A permit, and the driver's requests that run on it.

A permit is what the pool pools: it stands for one caller's use of the session that all callers share. It is free again
when its block has ended and the driver has ended every request that was sent in the block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..._core import Cell
from ..._driver import Driver
from .errors import NoConnectionsAvailable, PoolDeadlock

if TYPE_CHECKING:
    from .shared import SharedSession


class Permit:
    """One permit: the number of its running requests, and the function that frees it after the last of them."""

    __slots__ = ("__weakref__", "_state")

    def __init__(self) -> None:
        # Replaced as a whole: a request ends in the driver's event thread while the block ends in the caller's.
        self._state: Cell[tuple[int, Callable[[], object] | None]] = Cell((0, None))

    def request_begins(self) -> None:
        """Note that a request is about to be sent."""
        while not self._state.replace(old := self._state.value, (old[0] + 1, old[1])):
            pass

    def leave(self, free: Callable[[], object]) -> None:
        """End the block: ``free`` is called once no request runs, now or in the driver's event thread."""
        while True:
            old = self._state.value
            if not old[0]:
                free()
                return
            if self._state.replace(old, (old[0], free)):
                return

    def request_ended(self) -> None:
        """Note the end of a request; the last one of a block that has ended frees the permit."""
        while True:
            old = running, free = self._state.value
            last = running == 1
            if self._state.replace(old, (running - 1, None if last else free)):
                break
        if last and free is not None:
            free()


class Request:
    """A request of the driver: for a result, or for its pages one after the other."""

    __slots__ = ("_permit", "_runs")

    def __init__(self, permit: Permit) -> None:
        self._permit = permit
        self._runs = Cell(False)
        self.begin()

    def begin(self) -> None:
        """Note that it is about to be sent."""
        self._permit.request_begins()
        if not self._runs.replace(False, True):
            self._permit.request_ended()  # it runs already, and counts once

    def end(self, *_: Any) -> None:
        """Note its end, if it runs; as a callback it is called again for each page."""
        if self._runs.replace(True, False):
            self._permit.request_ended()


class PermitDriver(Driver[Permit]):
    """Makes permits, which costs nothing: only the first opens the session, if the pool was given a cluster."""

    exhausted_error = NoConnectionsAvailable
    deadlock_error = PoolDeadlock
    exhausted_message = "No permit for the Cassandra session within the timeout"

    def __init__(self, shared: SharedSession) -> None:
        self.shared = shared
        self._live: dict[int, Permit] = {}
        self._over = False

    def connect(self, server: Any, timeout: float | None) -> Permit:
        """Make a permit; raises what the cluster's ``connect`` raises, PoolError in a forked child."""
        self.shared.get()
        permit = Permit()
        self._live[id(permit)] = permit
        return permit

    def close(self, c: Permit) -> None:
        """Drop a permit. The last one of a closed pool ends the session, if the pool has made it."""
        self._live.pop(id(c), None)
        if self._over and not self._live:
            self.shared.end_behind()

    def usable(self, c: Permit, exc: BaseException) -> bool:
        """Return True: a permit has no connection that an error could leave out of step."""
        return True

    def end(self, now: bool) -> None:
        """The pool is closed: end the session that it made, now or after the last permit has come back."""
        self._over = True
        if now or not self._live:
            self.shared.end()
