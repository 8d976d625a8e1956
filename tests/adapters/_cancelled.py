"""Cancels a task at exactly its n-th await, without clocks or sleeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from typing import Any

from ._scripted import Call

WITHIN_S = 5.0


class Canceller:
    """Cancels a coroutine at its ``nth`` await (0: the first).

    ``late``: cancel after the awaited event has happened, but before the task has woken up.
    """

    def __init__(self, late: bool) -> None:
        self.late = late
        self._waits = threading.Event()  # set while the work is suspended or has not begun
        self._waits.set()

    def answer(self, call: Call) -> None:
        """A script for the server: reply only once the task waits, because a reply that is there already saves an
        await."""
        assert self._waits.wait(WITHIN_S)
        call.stream.send(call.stream.good(call))

    async def cancelled(self, work: Coroutine[Any, Any, Any], nth: int) -> bool:
        """Run ``work`` in a task of its own; True if it reached its n-th await and was cancelled there.

        Raises what the work raises, except for the cancellation.
        """
        steps = _Steps(work, nth, self)

        async def main() -> None:
            await steps

        task = asyncio.create_task(main())
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
        return steps.reached


class _Steps:
    """An awaitable that runs ``work`` step by step and cancels it at the n-th."""

    def __init__(self, work: Coroutine[Any, Any, Any], nth: int, canceller: Canceller) -> None:
        self._work = work
        self._nth = nth
        self._late = canceller.late
        self._waits = canceller._waits
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        steps = self._work.__await__()
        count = 0
        error: BaseException | None = None
        while True:
            self._waits.clear()
            try:
                future = next(steps) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            finally:
                self._waits.set()
            if count == self._nth and not self.reached:
                self.reached = True
                if self._late and future is not None:
                    # Runs before the task's own callback: the future is done, and the task has not woken up.
                    future.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            count += 1
            try:
                yield future
                error = None
            except BaseException as reason:
                error = reason
