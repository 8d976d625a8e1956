"""What one thread waits for, without a lock in Python code (docs/decisions/0024-no-lock-in-python-code.md)."""

from __future__ import annotations

import threading


class Flag:
    """A `threading.Event` for a single waiter, which a signal handler that raises cannot leave locked."""

    __slots__ = ("_bell", "up")

    def __init__(self) -> None:
        self.up = False
        self._bell = threading.Lock()
        self._bell.acquire()

    def set(self) -> None:
        """Set it, and wake the waiter."""
        self.up = True
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it was set before

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, so many seconds at most; whether it is."""
        if not self.up:
            self._bell.acquire(timeout=min(max(seconds, 0.0), threading.TIMEOUT_MAX))
        return self.up
