"""Tasks that wait for the permits of a shared name: of an AsyncPool, and of a Pool beside it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastpool

from ._told import soon

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
PATIENCE = 20.0


class Connections:
    """Counts what is open, by pools that connect and close with and without await."""

    def __init__(self) -> None:
        self.open = self.most = 0
        self.may_close = asyncio.Event()
        self.may_close.set()
        self.closing = 0

    def connect(self) -> object:
        self.open += 1
        self.most = max(self.most, self.open)
        return object()

    def close(self, _: object) -> None:
        self.open -= 1

    async def aconnect(self) -> object:
        await asyncio.sleep(0)
        return self.connect()

    async def aclose(self, c: object) -> None:
        self.closing += 1
        await self.may_close.wait()
        self.close(c)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    pages = tmp_path / "pages"
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(pages))
    yield pages
    assert list(pages.iterdir()) == [], "the last pool to be closed removes the page"


def test_a_task_and_a_thread_wait_for_each_other(folder: Path) -> None:
    async def main() -> None:
        all_of = Connections()
        tasks = fastpool.AsyncPool(all_of.aconnect, close=all_of.aclose, shared="both", shared_max=1, timeout=PATIENCE)
        threads = fastpool.Pool(all_of.connect, close=all_of.close, shared="both", shared_max=1, timeout=PATIENCE)
        for _ in range(3):
            async with tasks.connection():
                with pytest.raises(fastpool.NoConnectionsAvailable, match="1 of 1"):
                    threads.checkout(timeout=0)
                waiting = asyncio.create_task(asyncio.to_thread(threads.checkout))
                assert await soon(lambda: threads.stats().waiting > 0, PATIENCE)
            threads.checkin(await asyncio.wait_for(waiting, PATIENCE))
            async with threads.aconnection():
                with pytest.raises(fastpool.NoConnectionsAvailable, match="1 of 1"):
                    await tasks.checkout(timeout=0)
        assert all_of.most == 1
        threads.close()
        await tasks.close()
        assert all_of.open == 0

    asyncio.run(main())


def test_a_permit_is_free_when_the_awaited_close_has_returned(folder: Path) -> None:
    async def main() -> None:
        all_of = Connections()
        first, second = (
            fastpool.AsyncPool(all_of.aconnect, close=all_of.aclose, shared="tasks", shared_max=1, timeout=PATIENCE)
            for _ in range(2)
        )
        all_of.may_close.clear()
        async with first.connection():
            pass
        waiting = asyncio.create_task(second.checkout())
        assert await soon(lambda: all_of.closing > 0, PATIENCE)
        await asyncio.sleep(0.05)
        assert not waiting.done() and all_of.open == 1
        all_of.may_close.set()
        second.checkin(await asyncio.wait_for(waiting, PATIENCE))
        assert all_of.most == 1
        await first.close()
        await second.close()

    asyncio.run(main())


def test_a_waiting_task_that_is_cancelled_leaves_the_line_to_the_next(folder: Path) -> None:
    async def main() -> None:
        all_of = Connections()
        pools = [
            fastpool.AsyncPool(all_of.aconnect, close=all_of.aclose, shared="line", shared_max=1, timeout=PATIENCE)
            for _ in range(3)
        ]
        held = await pools[0].checkout()
        early = asyncio.create_task(pools[1].checkout())
        assert await soon(lambda: pools[1].stats().waiting > 0, PATIENCE)
        late = asyncio.create_task(pools[2].checkout())
        assert await soon(lambda: pools[2].stats().waiting > 0, PATIENCE)
        early.cancel()
        pools[0].checkin(held)
        pools[2].checkin(await asyncio.wait_for(late, PATIENCE))
        assert early.cancelled() and all_of.most == 1
        for pool in pools:
            await pool.close()

    asyncio.run(main())


def test_connections_of_a_loop_that_is_closed_keep_no_permit(folder: Path) -> None:
    all_of: list[Connections] = []

    async def first() -> fastpool.AsyncPool[object]:
        all_of.append(Connections())
        pool = fastpool.AsyncPool(all_of[0].aconnect, close=all_of[0].aclose, shared="loops", shared_max=1)
        async with pool.connection():
            return pool

    pool = asyncio.run(first())

    async def second() -> None:
        async with pool.connection(timeout=PATIENCE):
            pass
        await pool.close()

    asyncio.run(second())


def test_a_cap_that_is_lowered_by_one_costs_one_connection_however_long_its_close_lasts(folder: Path) -> None:
    async def main() -> None:
        all_of = Connections()
        pool = fastpool.AsyncPool(all_of.aconnect, close=all_of.aclose, shared="lower", shared_max=9, max_size=9)
        assert await pool.warm(9) == 9
        all_of.may_close.clear()
        pool.resize(shared_max=8)
        assert await soon(lambda: all_of.closing > 0, PATIENCE)
        pool.resize(shared_max=8)  # looks again while the close is under way
        all_of.may_close.set()
        assert await soon(lambda: all_of.open <= 8, PATIENCE)
        assert (len(pool), all_of.closing) == (8, 1)
        await pool.close(timeout=PATIENCE)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
