"""A flag for which one thread waits."""

from __future__ import annotations

from ..._core.threads import WakeEvent


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
        if not self.up:
            self._event.wait(seconds)
        return self.up
