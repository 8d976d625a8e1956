"""Connections are opened in the background, by threads."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from ..._async.workers import Workers
from ..._core.greenlets import pause
from ..._core.threads import WakeEvent
from .filler_shared import BaseFiller
from .steps import called

if TYPE_CHECKING:
    from .base import AttemptWithBackoff

logger = logging.getLogger("psycopg.pool")


class Filler(BaseFiller):
    """The background of a pool whose connections are opened by threads."""

    def __init__(self, pool: Any, workers: int) -> None:
        super().__init__(pool, workers)
        self._threads = Workers(workers)
        self._shrinker = Workers(1)
        self._event = WakeEvent()
        self._shrinker_event = WakeEvent()

    def start(self, worker: int) -> None:
        """Have a thread open connections as long as some are missing."""
        try:
            self._threads.do(partial(called, self.work(worker)))
        except RuntimeError as error:  # no thread can be started now; the next caller that waits tries again
            self.idle_workers.append(worker)
            logger.warning("cannot open connections in the background: %s", error)

    def hurry(self) -> None:
        """Wake the thread that pauses."""
        self._event.set()

    def stop(self, timeout: float | None) -> None:
        """Open nothing more; wait so many seconds for the connects that are under way, None meaning no limit."""
        self.stopped = True
        self._event.set()
        self._shrinker_event.set()
        until = None if timeout is None else time.monotonic() + timeout
        while self.working and (until is None or time.monotonic() < until):
            pause(0.001)

    def pause(self, attempts: AttemptWithBackoff) -> None:
        """Sleep until the next attempt is due."""
        while left := self.left(attempts):
            self._event.wait(left)

    def nap(self, seconds: float) -> None:
        """Sleep between two looks at the size of a pool that has grown."""
        self._shrinker_event.wait(seconds)

    def nap_for_permit(self, seconds: float) -> None:
        """Sleep between two attempts to get a permit of a shared name."""
        self._event.wait(seconds)

    def start_shrinking(self) -> None:
        """Have a thread close one connection after each `max_idle` seconds in which not all were used."""
        try:
            self._shrinker.do(partial(called, self.shrink()))
        except RuntimeError:
            self.shrinking = False
