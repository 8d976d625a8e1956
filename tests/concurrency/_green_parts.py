"""Helpers for the cases of gevent and of eventlet: a pool whose connections notice a second user."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests._slots import in_hand


class Thing:
    users = 0

    def use(self) -> None:
        self.users += 1
        assert self.users == 1, "two users at once"

    def leave(self) -> None:
        self.users -= 1


class Parts:
    """``pool`` is the pool under test, ``sleep`` the library's function to sleep."""

    def __init__(self, pool: Any, sleep: Callable[[float], object]) -> None:
        self._pool = pool
        self._sleep = sleep

    def soon(self, holds: Callable[[], bool]) -> None:
        """Let other greenlets run until the condition holds."""
        deadline = time.monotonic() + 15
        while not holds():
            assert time.monotonic() < deadline, self._pool
            self._sleep(0.001)  # not 0: a hub that never blocks keeps the GIL from other threads for seconds

    def at_rest(self) -> bool:
        """No lease, connect or wait is under way."""
        s = self._pool.stats()
        return (s.leased, s.connecting, s.waiting) == (0, 0, 0) and not in_hand(self._pool)

    def use(self, rounds: int = 1, nap: float | None = 0) -> None:
        """Enter that many blocks, and sleep in each of them (None: do not sleep)."""
        for _ in range(rounds):
            with self._pool.connection() as c:
                c.use()
                try:
                    if nap is not None:
                        self._sleep(nap)
                finally:
                    c.leave()
