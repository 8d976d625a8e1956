"""What the cases of gevent and of eventlet have in common: a pool of things that notice a second user."""

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
    """``pool`` is the pool that is tried, ``sleep`` how a greenlet sleeps."""

    def __init__(self, pool: Any, sleep: Callable[[float], object]) -> None:
        self._pool = pool
        self._sleep = sleep

    def soon(self, holds: Callable[[], bool]) -> None:
        """Let others run until it is so."""
        deadline = time.monotonic() + 15
        while not holds():
            assert time.monotonic() < deadline, self._pool
            self._sleep(0.001)  # not 0: a hub that never blocks keeps the GIL from other threads for seconds

    def at_rest(self) -> bool:
        """Nothing is out or under way."""
        s = self._pool.stats()
        return (s.leased, s.connecting, s.waiting) == (0, 0, 0) and not in_hand(self._pool)

    def use(self, rounds: int = 1, nap: float | None = 0) -> None:
        """So many blocks, each of which sleeps for a while (None: does not)."""
        for _ in range(rounds):
            with self._pool.connection() as c:
                c.use()
                try:
                    if nap is not None:
                        self._sleep(nap)
                finally:
                    c.leave()
