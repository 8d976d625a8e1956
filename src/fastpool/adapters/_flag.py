"""A flag for which one thread waits."""

from __future__ import annotations

from .._core import clock
from .._core.compat import eventlets_hub, gevents_hub
from .._core.greenlets import pause
from .._core.threads import WakeEvent

_NAP_S = 0.005


class Flag:
    """A `threading.Event` for a single waiter, which a signal handler that raises cannot leave locked."""

    __slots__ = ("_event", "up")

    def __init__(self) -> None:
        self.up = False
        self._event = WakeEvent()

    def set(self) -> None:
        """Set it, and wake the waiter."""
        self.up = True
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most that many seconds; return whether it is."""
        if gevents_hub() is None and eventlets_hub() is None:
            if not self.up:
                self._event.wait(seconds)
            return self.up
        end = clock() + seconds  # a greenlet: sleeping on the lock would stop its hub, and the driver's with it
        while not self.up and (left := end - clock()) > 0:
            pause(min(left, _NAP_S))
        return self.up
