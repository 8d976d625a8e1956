"""A reproducible storm: in one loop, with a virtual clock, the seed decides everything, so a failure can be
repeated."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import fastpool

from ._task_ways import EVERY_LOOP, EVERY_WAY, WAYS, run
from ._told import Told, at_rest, soon


class Storm:
    """A number of operations on a pool, chosen by a seed, and a log of each outcome."""

    def __init__(self, way: str, seed: int, operations: int) -> None:
        self.have, kind = WAYS[way]
        self.rng = random.Random(seed)
        self.operations = operations
        self.made: list[Told] = []
        connect: Any = self.opened if kind is fastpool.Pool else self.aopened
        self.pool: Any = kind(connect, max_size=3, timeout=None, max_uses=50)
        self.story: list[str] = []
        self.live: dict[int, asyncio.Task[None]] = {}

    def opened(self) -> Told:
        self.made.append(Told())
        return self.made[-1]

    async def aopened(self) -> Told:
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)
        return self.opened()

    async def one(self, number: int) -> None:
        async def within() -> None:
            for _ in range(self.rng.randrange(4)):
                await asyncio.sleep(0)
            self.story.append(f"{number} had it")
            if self.rng.random() < 0.05:
                raise LookupError

        try:
            await self.have(self.pool, within)
        except (asyncio.CancelledError, LookupError) as error:
            self.story.append(f"{number} {type(error).__name__}")
        finally:
            del self.live[number]

    async def play(self) -> list[str]:
        """Run all operations; then no slot is lost and every count is exact."""
        for number in range(self.operations):
            self.live[number] = asyncio.create_task(self.one(number))
            await asyncio.sleep(0)
            while len(self.live) > 9 or (self.live and self.rng.random() < 0.4):
                if self.rng.random() < 0.3:
                    self.rng.choice(list(self.live.values())).cancel()
                await asyncio.sleep(0)
        assert await soon(lambda: not self.live)
        assert await soon(lambda: at_rest(self.pool)), self.pool
        s = self.pool.stats()
        assert s.checkouts == s.checkins and s.connects == sum(s.closed.values()) + s.size, s
        assert await soon(lambda: sum(not c.closed for c in self.made) == s.size), "what is open is the pool's"
        together = [self.pool.aconnection(timeout=5) for _ in range(3)]
        assert len({id(await lease.__aenter__()) for lease in together}) == 3
        for lease in together:
            await lease.__aexit__(None, None, None)
        return self.story


def story(way: str, loop: str, seed: int, operations: int) -> list[str]:
    told: list[str] = []

    async def main() -> None:
        told.extend(await Storm(way, seed, operations).play())

    run(loop, main)
    return told


@EVERY_LOOP
@EVERY_WAY
@pytest.mark.parametrize(
    "operations", [1_500, pytest.param(100_000, marks=[pytest.mark.stress, pytest.mark.timeout(300)])]
)
def test_nothing_is_lost(way: str, operations: int, loop: str) -> None:
    told = story(way, loop, 1, operations)
    cancelled = sum("CancelledError" in one for one in told)
    assert operations / 20 < cancelled < operations, "some of each"


@EVERY_LOOP
@pytest.mark.parametrize("way", ["AsyncPool.connection", "AsyncPool.checkout"])  # a Pool connects in threads
def test_the_same_seed_tells_the_same_story(way: str, loop: str) -> None:
    first = story(way, loop, 2, 600)
    assert story(way, loop, 2, 600) == first
    assert story(way, loop, 3, 600) != first
