"""A task that is cancelled at its n-th await, exactly there: no clock, no luck."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from typing import Any

from ._scripted import Call

WITHIN_S = 5.0


class Canceller:
    """Cancels a piece of work at its ``nth`` await (0: the first).

    ``late``: not while it waits there, but between the end of that wait and the task's waking up, when what was waited
    for has happened already.
    """

    def __init__(self, late: bool) -> None:
        self.late = late
        self._waits = threading.Event()  # the work is suspended, or there is none
        self._waits.set()

    def answer(self, call: Call) -> None:
        """The server's script: a reply that is there before anybody waits for it would be an await less."""
        assert self._waits.wait(WITHIN_S)
        call.stream.send(call.stream.good(call))

    async def cancelled(self, work: Coroutine[Any, Any, Any], nth: int) -> bool:
        """Whether ``work``, in a task of its own, got as far as its n-th await, where it was cancelled.

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
    """Awaits ``work``, step by step."""

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
                    # Before the task's own callback: it runs when the future is done and the task has not woken up.
                    future.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            count += 1
            try:
                yield future
                error = None
            except BaseException as reason:
                error = reason
