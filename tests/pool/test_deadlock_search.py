"""The deadlocks that pools find are those that a plain search over owners and pools finds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastpool import PoolDeadlock
from tests.pool.fake_driver import balanced, waiting
from tests.pool.ordered_owner import Owner, TaskOwner
from tests.pool.test_deadlock_pools import pools


class Model:
    """The plain search: owners, what each holds, and what each waits for."""

    def __init__(self, sizes: list[int], owners: int) -> None:
        self.sizes = sizes
        self.holders: list[list[int]] = [[] for _ in sizes]
        self.lines: list[list[int]] = [[] for _ in sizes]
        self.held: list[list[int]] = [[] for _ in range(owners)]
        self.waits_for: list[int | None] = [None] * owners

    def take(self, owner: int, pool: int) -> str:
        if len(self.holders[pool]) < self.sizes[pool]:
            self._give(owner, pool)
            return "entered"
        self.waits_for[owner] = pool
        stuck = set(range(len(self.sizes)))
        while True:  # remove the pools that can give a connection, until there are no more
            lively = {
                one
                for one in stuck
                if len(self.holders[one]) < self.sizes[one]
                or any(self.waits_for[holder] not in stuck for holder in self.holders[one])
            }
            if not lively:
                break
            stuck -= lively
        if pool in stuck:
            self.waits_for[owner] = None
            return "deadlock"
        self.lines[pool].append(owner)
        return "waits"

    def _give(self, owner: int, pool: int) -> None:
        self.waits_for[owner] = None
        self.holders[pool].append(owner)
        self.held[owner].append(pool)

    def leave(self, owner: int) -> int | None:
        """End the owner's innermost block; the owner that is served now, if any."""
        pool = self.held[owner].pop()
        self.holders[pool].remove(owner)
        if not self.lines[pool]:
            return None
        served = self.lines[pool].pop(0)
        self._give(served, pool)
        return served


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        yield loop
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


@settings(max_examples=40, deadline=None)
@given(
    tasks=st.lists(st.booleans(), min_size=5, max_size=5),
    sizes=st.lists(st.integers(1, 2), min_size=2, max_size=4),
    moves=st.lists(st.tuples(st.integers(0, 4), st.integers(-2, 3)), max_size=40),
)
def test_as_a_plain_search_finds_it(
    loop: asyncio.AbstractEventLoop, tasks: list[bool], sizes: list[int], moves: list[tuple[int, int]]
) -> None:
    """Each of the five owners is a thread or a task."""
    model, real = Model(sizes, 5), pools(*sizes)
    owners = [TaskOwner(str(n), loop) if task else Owner(str(n)) for n, task in enumerate(tasks)]

    def leave(owner: int) -> None:
        served = model.leave(owner)
        owners[owner].leaves()
        if served is not None:
            assert owners[served].result() == "entered"

    for owner, pool in moves:
        if model.waits_for[owner] is not None:
            continue
        if pool < 0:
            if model.held[owner]:
                leave(owner)
            continue
        pool %= len(sizes)
        expected = model.take(owner, pool)
        owners[owner].begins(real[pool])
        if expected == "waits":
            waiting(real[pool], len(model.lines[pool]))
            assert owners[owner].results.empty()
        else:
            found = owners[owner].result()
            assert (found if found == "entered" else type(found)) == (
                "entered" if expected == "entered" else PoolDeadlock
            ), (tasks, sizes, moves)
    while any(model.held):
        free = [owner for owner in range(5) if model.held[owner] and model.waits_for[owner] is None]
        assert free, "the model says that all is stuck, and nobody was told"
        leave(free[0])
    for one in owners:
        one.ends()
    for one in real:
        balanced(one)
