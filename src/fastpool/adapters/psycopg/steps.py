"""The steps of threads and tasks, written once: a generator yields each call that may wait, and gets its result.

What the call raises is raised at the ``yield``. The generator itself never waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Generator[Callable[[], Any], Any, T]


def called(steps: Steps[T]) -> T:
    """Make the calls, and return what the steps return."""
    try:
        call = next(steps)
        while True:
            try:
                result = call()
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def awaited(steps: Steps[T]) -> T:
    """Make the calls and await what they return; return what the steps return."""
    try:
        call = next(steps)
        while True:
            try:
                result = await call()
            except BaseException as error:
                call = steps.throw(error)
            else:
                call = steps.send(result)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
