"""Checks the health of all hosts periodically, and reports the unhealthy ones."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from inspect import isawaitable, iscoroutinefunction
from typing import Any, Protocol

from ..._async.driver import was_cancelled
from ..._core import Post, clock, loop_of_thread, seconds_to_ns
from ..._core.threads import leave_hub, start
from ..._errors import PoolClosed
from .._flag import Flag
from .health import LIMIT_S, HostHealth

logger = logging.getLogger("fastpool.cassandra")

OnAlert = Callable[[list[HostHealth]], Any]


class Watched(Protocol):
    """The methods of the pool that a monitor calls."""

    name: str

    @property
    def closed(self) -> bool: ...
    def health(self, timeout: float) -> list[HostHealth]: ...
    async def ahealth(self, timeout: float) -> list[HostHealth]: ...


class Monitor:
    """Rounds of ``health()``, one each ``interval`` seconds, the first at once; made by ``pool.monitor()``.

    It is a task where a loop runs, otherwise a daemon thread. ``on_alert(hosts)`` is called with the unhealthy hosts in
    each round that finds any; in a task it may be a coroutine function. Without it they are logged. A round gives each
    host ``interval`` seconds to answer, 5 at most.
    """

    def __init__(self, pool: Watched, interval: float, on_alert: OnAlert | None) -> None:
        if interval is None or not seconds_to_ns("interval", interval):
            raise ValueError(f"interval must be a number of seconds above 0, not {interval!r}")
        if on_alert is not None and not callable(on_alert):
            raise TypeError(f"on_alert must be callable or None, not {on_alert!r} ({type(on_alert).__name__})")
        self._loop = loop_of_thread()
        if self._loop is None and iscoroutinefunction(on_alert):
            raise TypeError(f"on_alert is the coroutine function {on_alert!r}, but no event loop runs in this thread")
        self.interval = float(interval)
        self.hosts: list[HostHealth] = []
        """The hosts as the last round found them."""
        self.rounds = 0
        self._limit = min(LIMIT_S, self.interval)
        self._on_alert = on_alert
        self._pool = weakref.ref(pool)
        self._stopped = Flag()
        self._task: asyncio.Task[None] | None = None
        if self._loop is not None:
            self._task = self._loop.create_task(self._watch_in_task(), name=f"fastpool monitor of {pool.name}")
        else:
            start(Post(), f"fastpool monitor of {pool.name}", self._watch)

    @property
    def running(self) -> bool:
        """Whether further rounds will come."""
        return not self._stopped.up and not (self._task is not None and self._task.done())

    def stop(self) -> None:
        """Stop: no callback begins after this. Any thread and the callback may call it, more than once, too."""
        self._stopped.set()
        task, loop = self._task, self._loop
        if task is None or task.done():
            return
        if loop_of_thread() is loop:
            if asyncio.current_task() is not task:
                task.cancel()
            return
        try:
            loop.call_soon_threadsafe(task.cancel)
        except RuntimeError:
            pass  # its loop is closed, and the task with it

    def __repr__(self) -> str:
        return f"<fastpool.adapters.cassandra.Monitor {'running' if self.running else 'stopped'}, {self.rounds} rounds>"

    # ---- in a thread

    def _watch(self) -> None:
        while not self._stopped.up:
            began = clock()
            try:
                hosts = self._asked()
                if hosts is None:
                    break
                self._alert(hosts)
            except BaseException as error:  # otherwise this would be the last round
                self._round_failed(error)
            self._stopped.wait(began + self.interval - clock())
        self._stopped.set()
        leave_hub()

    def _asked(self) -> list[HostHealth] | None:
        pool = self._pool()
        if pool is None or pool.closed:
            return None
        try:
            return pool.health(self._limit)
        except PoolClosed:
            return None

    # ---- in a task

    async def _watch_in_task(self) -> None:
        try:
            while not self._stopped.up:
                began = clock()
                try:
                    hosts = await self._asked_by_worker()
                    if hosts is None:
                        break
                    told = self._alert(hosts)
                    if isawaitable(told):
                        await told
                except (Exception, asyncio.CancelledError) as error:
                    if not isinstance(error, Exception) and was_cancelled():
                        raise
                    self._round_failed(error)
                if not self._stopped.up:
                    await asyncio.sleep(max(began + self.interval - clock(), 0.0))
        finally:
            self._stopped.set()

    async def _asked_by_worker(self) -> list[HostHealth] | None:
        pool = self._pool()
        if pool is None or pool.closed:
            return None
        try:
            return await pool.ahealth(self._limit)
        except PoolClosed:
            return None

    # ---- in both

    def _alert(self, hosts: list[HostHealth]) -> Any:
        """Report the unhealthy hosts, if there are any; return the value of the callback."""
        self.hosts = hosts
        self.rounds += 1
        unhealthy = [host for host in hosts if not host.healthy]
        if not unhealthy or self._stopped.up:
            return None
        if self._on_alert is not None:
            return self._on_alert(unhealthy)
        logger.warning(
            "%d of %d hosts are unhealthy: %s",
            len(unhealthy), len(hosts), "; ".join(f"{host.address} ({host.error})" for host in unhealthy),
        )  # fmt: skip
        return None

    def _round_failed(self, error: BaseException) -> None:
        """Log an exception of the callback, or of the driver while the hosts were asked."""
        if not self._stopped.up:
            logger.error(
                "round %d of the monitor failed, the next comes in %g s: %s: %s",
                self.rounds, self.interval, type(error).__name__, error, exc_info=error,
            )  # fmt: skip
