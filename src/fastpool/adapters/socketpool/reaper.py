"""The reaper: closes a pool's old connections periodically, in a thread or in a greenlet of the caller's hub."""

from __future__ import annotations

import weakref
from typing import Any

from ..._core import Post
from ..._core.greenlets import pause, spawner_here
from ..._core.threads import WakeEvent, leave_hub, start

_NAP_S = 0.25  # the longest sleep of a greenlet: stop() cannot wake it


class ConnectionReaper:
    """Calls ``pool.murder_connections()`` every ``delay`` seconds until it is stopped or the pool is gone.

    It runs as a greenlet under gevent and eventlet, so that it can close their sockets; otherwise as a daemon thread.
    It does not keep the pool alive.
    """

    running = False

    def __init__(self, pool: Any, delay: float = 1.0) -> None:
        self.delay = delay
        self.stopped = False
        self._wake = WakeEvent()
        self._pool = weakref.ref(pool, self._end)

    def ensure_started(self) -> None:
        """Start it unless it runs or was stopped."""
        if not self.running and not self.stopped:
            self.start()

    def start(self) -> None:
        """Start it; the first round comes after ``delay`` seconds."""
        self.running = True
        spawn = spawner_here()
        if spawn is not None:
            spawn(self._run_green)
        else:
            start(Post(), "fastpool-socketpool-reaper", self._run)

    def stop(self) -> None:
        """Stop it: no round begins from now on."""
        self.stopped = True
        self._wake.set()

    def _end(self, gone: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            while not self._wake.wait(self.delay):
                self._round()
        finally:
            self.running = False
            leave_hub()

    def _run_green(self) -> None:
        try:
            left = self.delay
            while not self.stopped:
                nap = min(left, _NAP_S)
                pause(nap)
                left -= nap
                if left <= 0 and not self.stopped:
                    self._round()
                    left = self.delay
        finally:
            self.running = False

    def _round(self) -> None:
        pool = self._pool()
        if pool is not None:
            pool._murder_quietly()
