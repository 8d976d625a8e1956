"""The tests of asyncio, run on uvloop's loops."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from tests.concurrency import test_aconnection, test_asyncio, test_asyncio_loops

uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")

NOT_HERE = {
    "test_tasks_of_several_loops_share_a_pool_and_its_connections",  # has asyncio's loops and uvloop's at once
}
STORIES = [
    value
    for module in (test_asyncio, test_asyncio_loops, test_aconnection)
    for name, value in vars(module).items()
    if name.startswith("test_") and name not in NOT_HERE and not inspect.signature(value).parameters
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_same(story: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    def new_loop() -> Any:
        made.append(uvloop.new_event_loop())
        return made[-1]

    def run(main: Any) -> Any:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main)

    monkeypatch.setattr(asyncio, "run", run)
    monkeypatch.setattr(asyncio, "new_event_loop", new_loop)
    story()
    assert made and all(isinstance(loop, uvloop.Loop) for loop in made)


def test_there_are_stories() -> None:
    assert len(STORIES) > 25
