"""An event for one waiting thread, without a lock in Python code (docs/decisions/0024-no-lock-in-python-code.md)."""

from __future__ import annotations

import threading


class Flag:
    """A `threading.Event` for a single waiter, which a signal handler that raises cannot leave locked."""

    __slots__ = ("_wakeup", "up")

    def __init__(self) -> None:
        self.up = False
        self._wakeup = threading.Lock()
        self._wakeup.acquire()

    def set(self) -> None:
        """Set it, and wake the waiter."""
        self.up = True
        try:
            self._wakeup.release()
        except RuntimeError:
            pass  # it was set before

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, so many seconds at most; whether it is."""
        if not self.up:
            self._wakeup.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        return self.up
