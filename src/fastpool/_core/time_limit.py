"""A time limit for a block of a task, like asyncio's ``timeout``, but also for tasks that asyncio's Python part runs.

From CPython 3.14 on ``asyncio.timeout`` refuses to work in such a task, because ``asyncio.current_task()`` does not
know it. The core does. nest_asyncio turns every task into one.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from . import running_task


class TimeLimit:
    """``async with TimeLimit(seconds)``: TimeoutError if the block takes longer; None: no limit."""

    __slots__ = ("_cancelled_before", "_expired", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._expired = False
        self._timer: asyncio.Handle | None = None
        self._task: Any = None

    async def __aenter__(self) -> Self:
        self._task = running_task()
        if self._task is None:
            raise RuntimeError("a time limit is for code that a task runs")
        self._cancelled_before = self._task.cancelling()
        if self._seconds is not None:
            loop = asyncio.get_running_loop()
            if self._seconds > 0:
                self._timer = loop.call_later(self._seconds, self._expire)
            else:
                self._timer = loop.call_soon(self._expire)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._expired:
            # The task may have been cancelled for another reason meanwhile: that passes.
            others_did = self._task.uncancel() > self._cancelled_before
            if isinstance(error, asyncio.CancelledError) and not others_did:
                raise TimeoutError(f"it took longer than {self._seconds:g} s") from error

    def _expire(self) -> None:
        self._expired = True
        self._timer = None
        self._task.cancel()

    def expired(self) -> bool:
        """Whether the block has had all its time."""
        return self._expired
