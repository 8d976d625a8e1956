"""Awaited connections are opened in the background, by tasks of the loop in which the pool was opened."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any

from ..._core import loop_of_thread
from .filler import GLANCE_S, BaseFiller, shrink_step

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
        self._run(self._work(worker))

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

    async def _work(self, worker: int) -> None:
        try:
            while self.reserve():
                try:
                    goes_on = await self._open_one()
                finally:
                    self.release()
                if not goes_on:
                    break
        finally:
            self.idle_workers.append(worker)
        self.ask()  # a caller may have begun to wait since

    async def _open_one(self) -> bool:
        """Open the reserved connection, in as many attempts as it takes; False: this worker is to end."""
        attempts = None
        hurried = False
        try:
            while (pool := self.pool()) is not None and not self.stopped:
                try:
                    opened: bool = await pool.open_in_background()
                except Exception as error:
                    if pool.closed or (self.retrying and attempts is None):
                        return False  # another worker goes on trying
                    self.retrying = True
                    attempts = attempts or self.attempts(pool)
                    if attempts.failed(pool.name, error, hurried):
                        self.retrying = False
                        self.given_up = True
                        await pool.reconnect_failed()
                        return False
                else:
                    if opened:
                        self.opened(pool)
                    elif wait := self.wait_for_permit(pool):
                        del pool
                        await asyncio.sleep(wait)
                        continue
                    return opened
                del pool
                hurried = await self._pause(attempts)
            return False
        finally:
            if attempts is not None:
                self.retrying = False

    async def _pause(self, attempts: AttemptWithBackoff) -> bool:
        """Sleep until the next attempt is due; True: it is made early, because callers wait."""
        event = asyncio.Event()
        self._pausing = (asyncio.get_running_loop(), event)
        while (pool := self.pool()) is not None and not self.stopped:
            hurry = self.hurries(pool)
            del pool
            left = attempts.due(hurry)
            if not left:
                return hurry and attempts.due(False) > 0
            event.clear()
            try:
                async with asyncio.timeout(min(left, GLANCE_S)):
                    await event.wait()
            except TimeoutError:
                pass
        return False

    # ---- a pool that has grown

    def start_shrinking(self) -> None:
        """Have a task close one connection after each `max_idle` seconds in which not all were used."""
        self._run(self._shrink())

    async def _shrink(self) -> None:
        least, tick = None, None
        try:
            while (pool := self.pool()) is not None and not self.stopped and len(pool) > pool.min_size:
                nap, least, tick = shrink_step(pool, least, tick)
                del pool
                await asyncio.sleep(min(nap, GLANCE_S))
        finally:
            self.shrinking = False
        if (pool := self.pool()) is not None and not self.stopped:
            self.see_size(pool)  # it may have grown since the last look
