"""The time limit of a task's block behaves as asyncio's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fastpool._core.time_limit import TimeLimit
from tests.process._scripts import run

LIMITS = [TimeLimit, asyncio.timeout]
alike = pytest.mark.parametrize("limit", LIMITS, ids=["ours", "asyncio's"])


@alike
@pytest.mark.parametrize("seconds", [-1, 0, 0.01])
def test_a_block_that_takes_longer_is_told(limit: Any, seconds: float) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with limit(seconds) as given:
                await asyncio.sleep(30)
        assert given.expired()
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0
        await asyncio.sleep(0)

    asyncio.run(main())


@alike
@pytest.mark.parametrize("seconds", [None, 30])
def test_a_block_that_ends_in_time_goes_on_undisturbed(limit: Any, seconds: float | None) -> None:
    async def main() -> None:
        async with limit(seconds) as given:
            await asyncio.sleep(0)
        assert not given.expired()
        with pytest.raises(LookupError):
            async with limit(seconds):
                raise LookupError

    asyncio.run(main())


@alike
def test_a_block_that_ends_with_another_error_after_its_time_raises_that(limit: Any) -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            async with limit(0) as given:
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    raise LookupError from None
        assert given.expired()
        task = asyncio.current_task()
        assert task is not None and task.cancelling() == 0

    asyncio.run(main())


@alike
def test_a_cancellation_from_outside_goes_through(limit: Any) -> None:
    async def use() -> None:
        async with limit(0):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(30)

    async def main() -> None:
        task = asyncio.ensure_future(use())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())


def test_it_is_for_tasks_only() -> None:
    async def use() -> None:
        async with TimeLimit(1):
            raise AssertionError("nobody runs this")

    with pytest.raises(RuntimeError, match="task"):
        use().send(None)


def test_it_holds_for_a_task_that_asyncios_python_part_runs() -> None:
    program = """
        import asyncio
        asyncio.Task = asyncio.tasks.Task = asyncio.tasks._PyTask  # what nest_asyncio does
        from fastpool._core.time_limit import TimeLimit

        async def main():
            try:
                async with TimeLimit(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                print("well")

        asyncio.run(main())
    """
    assert run(program).split() == ["well"]
