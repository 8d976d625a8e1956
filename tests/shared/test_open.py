"""open() of a pool whose last permit another caller of open() connects with: both return when it is open."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import fastpool
from fastpool import _pool
from tests.pool.fake_driver import PATIENCE, Plain, Run
from tests.pool.opening_driver import AsyncPlain, in_loop, soon, unopened
from tests.shared._party import Party

LAST: dict[str, Any] = {"min_size": 1, "max_connecting": 1, "shared": "opened", "shared_max": 1}


def test_of_threads(party: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    driver, waits_or_over, real = Plain(), threading.Event(), _pool.pause
    pool: fastpool.Pool[Any] = unopened(driver, **LAST)
    driver.connecting.hold()
    first = Run(pool.open)
    driver.connecting.held()

    def pause(seconds: float) -> None:
        waits_or_over.set()
        real(seconds)

    def second_open() -> int:
        try:
            pool.open()
            return len(pool)
        finally:
            waits_or_over.set()

    monkeypatch.setattr(_pool, "pause", pause)
    second = Run(second_open)
    assert waits_or_over.wait(PATIENCE)
    driver.connecting.go()
    first.result()
    assert second.result() == 1 and len(driver.made) == 1
    pool.close()


def test_of_tasks(party: Party) -> None:
    async def main() -> None:
        driver = AsyncPlain()
        pool: fastpool.AsyncPool[Any] = driver.pool(**LAST)
        driver.go.clear()
        first = asyncio.create_task(pool.open())
        await soon(lambda: driver.began == 1)
        second = asyncio.create_task(pool.open())
        for _ in range(3):
            await asyncio.sleep(0)  # it looks, and would return here
        assert not second.done()
        driver.go.set()
        await asyncio.gather(first, second)
        assert len(pool) == 1 and len(driver.made) == 1
        await pool.close()

    in_loop(main)
