"""Awaited connections are opened in the background, by tasks of the loop in which the pool was opened."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from ..._core import loop_of_thread
from .filler_shared import GLANCE_S, BaseFiller
from .steps import awaited

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .base import AttemptWithBackoff


class AsyncFiller(BaseFiller):
    """The background of a pool whose connections are opened with ``await``."""

    home: asyncio.AbstractEventLoop | None = None  # the loop in which the pool was opened

    def __init__(self, pool: Any, workers: int) -> None:
        super().__init__(pool, workers)
        self._tasks: set[asyncio.Task[None]] = set()
        self._pausing: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    def start(self, worker: int) -> None:
        """Have a task open connections as long as some are missing: in this thread's loop, else in the pool's own."""
        loop = loop_of_thread() or self.home
        try:
            if loop is None:
                raise RuntimeError
            loop.call_soon_threadsafe(self._spawn, worker)
        except RuntimeError:  # the loop is closed: nobody can be served in it
            self.idle_workers.append(worker)

    def _spawn(self, worker: int) -> None:
        self._run(awaited(self.work(worker)))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        # in an empty context: what is opened in the background is none of the caller's request
        task = contextvars.Context().run(asyncio.get_running_loop().create_task, work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def hurry(self) -> None:
        """Wake the task that pauses."""
        pausing = self._pausing
        if pausing is not None:
            try:
                pausing[0].call_soon_threadsafe(pausing[1].set)
            except RuntimeError:
                pass  # its loop is closed

    async def stop(self, timeout: float | None) -> None:
        """Open nothing more, and end the connects that are under way in this loop."""
        self.stopped = True
        self.hurry()
        here = asyncio.get_running_loop()
        mine = [task for task in list(self._tasks) if task.get_loop() is here and task is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine, timeout=timeout)

    async def pause(self, attempts: AttemptWithBackoff) -> None:
        """Sleep until the next attempt is due."""
        event = asyncio.Event()
        self._pausing = (asyncio.get_running_loop(), event)
        while left := self.left(attempts):
            event.clear()
            try:
                async with asyncio.timeout(left):
                    await event.wait()
            except TimeoutError:
                pass

    async def nap(self, seconds: float) -> None:
        """Sleep between two looks; at most for as long as a pool that was dropped may go unnoticed."""
        await asyncio.sleep(min(seconds, GLANCE_S))

    nap_for_permit = nap

    def start_shrinking(self) -> None:
        """Have a task close one connection after each `max_idle` seconds in which not all were used."""
        self._run(awaited(self.shrink()))
