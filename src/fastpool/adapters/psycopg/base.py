"""How long the pool pauses between two attempts to connect to a server that is away."""

from __future__ import annotations

import logging
import random
import time

logger = logging.getLogger("psycopg.pool")


def jitter(value: float, least: float, most: float) -> float:
    """``value``, changed by a random part of it between ``least`` and ``most`` (-0.1: a tenth less)."""
    return value * (1.0 + random.uniform(least, most))


class AttemptWithBackoff:
    """The attempts of one pool since the last that succeeded: the pauses double, and end after ``timeout`` seconds.

    ``first`` and ``longest``: the pauses in seconds, None for ``first`` meaning INITIAL_DELAY. psycopg_pool's pauses
    have no upper bound, so that it notices a server that comes back after 40 seconds 23 seconds later.
    """

    INITIAL_DELAY = 1.0
    DELAY_JITTER = 0.1
    DELAY_BACKOFF = 2.0
    HURRIED_DELAY = 0.1  # while callers wait

    def __init__(self, timeout: float, first: float | None, longest: float) -> None:
        self._timeout = timeout
        self._first, self._longest = first, longest
        self._give_up_at: float | None = None
        self._pause = 0.0
        self._logged = (0.0, "")  # when a failure was logged, and its text
        self.failed_at = 0.0
        self.next_at = 0.0  # when the next attempt is due, unless callers wait; both on the monotonic clock

    def failed(self, name: str, error: Exception, hurried: bool = False) -> bool:
        """Note and log a failure; True: it is time to give up. ``hurried``: it was made early, because callers wait."""
        now = self.failed_at = time.monotonic()
        text = str(error)
        if not (hurried and text == self._logged[1] and now - self._logged[0] < 1.0):
            self._logged = (now, text)
            logger.warning("error connecting in %r: %s", name, text)
        if self._give_up_at is None:
            self._give_up_at = now + self._timeout
            first = self._first
            self._pause = jitter(self.INITIAL_DELAY, -self.DELAY_JITTER, self.DELAY_JITTER) if first is None else first
        elif now >= self._give_up_at:
            logger.warning("reconnection attempt in pool %r failed after %s sec", name, self._timeout)
            return True
        elif not hurried:
            self._pause *= self.DELAY_BACKOFF
        self._pause = min(self._pause, self._longest)
        self.next_at = min(now + self._pause, self._give_up_at)
        return False

    def due(self, hurry: bool) -> float:
        """The seconds until the next attempt; 0: now. ``hurry``: callers wait."""
        at = min(self.next_at, self.failed_at + self.HURRIED_DELAY) if hurry else self.next_at
        return max(at - time.monotonic(), 0.0)
