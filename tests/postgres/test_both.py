"""The loop that the scenarios of tasks are played in: at its end nothing is left behind that would wait for it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import Any

from ._both import PATIENCE_S, Tasks, in_thread


def test_end_of_the_loop_ends_calls_that_callbacks_wait_for() -> None:
    way = Tasks()
    begun = threading.Event()
    told: list[BaseException | None] = []

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    def callback(conn: Any) -> None:
        try:
            way.run(never())
        except BaseException as error:
            told.append(error)
            way.run(asyncio.sleep(0))  # as a callback does that tidies up
            told.append(None)

    asking = in_thread(lambda: way.run(way.wrapped(callback)(None)))
    assert begun.wait(PATIENCE_S)
    way.end()
    assert [type(error) for error in told] == [CancelledError, type(None)]
    assert isinstance(asking.exception(PATIENCE_S), CancelledError)
