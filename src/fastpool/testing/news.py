"""Waiting for something to change, without a lock.

A signal handler that raises can leave the lock of a `threading.Condition` or `threading.Event` taken (3.14), and then
every later notification hangs. Here each waiter sleeps on a lock of its own.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any


class News:
    """Waiters look again whenever :meth:`tell` is called."""

    def __init__(self) -> None:
        self._sleepers: dict[object, Any] = {}

    def tell(self) -> None:
        """Wake all waiters: something has changed."""
        for lock in self._sleepers.copy().values():
            with contextlib.suppress(RuntimeError):  # it has been released already
                lock.release()

    def wait_for(self, true: Callable[[], object], timeout: float | None = None) -> bool:
        """Wait until ``true()``, for up to ``timeout`` seconds; return whether it is."""
        end = None if timeout is None else time.monotonic() + timeout
        me, lock = object(), threading.Lock()
        try:
            self._sleepers[me] = lock
            while not true():
                left = -1 if end is None else end - time.monotonic()
                if end is not None and left <= 0:
                    return bool(true())
                lock.acquire(timeout=min(left, threading.TIMEOUT_MAX))
            return True
        finally:
            self._sleepers.pop(me, None)


class Flag:
    """A `threading.Event` without a lock."""

    def __init__(self) -> None:
        self._up = False
        self._news = News()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._up

    def set(self) -> None:
        """Set it, and wake all waiters."""
        self._up = True
        self._news.tell()

    def clear(self) -> None:
        """Unset it."""
        self._up = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, for up to ``timeout`` seconds; say whether it is."""
        return self._news.wait_for(self.is_set, timeout)
