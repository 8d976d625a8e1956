"""Permits where one connection takes the place of another: the server never sees both."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastpool
from fastpool._core import Entry, Selection
from tests.concurrency._told import soon
from tests.pool.fake_driver import PATIENCE, until

pytestmark = pytest.mark.usefixtures("pages")


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "pages").mkdir(mode=0o700)
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))
    yield


class Kind:
    """A connection of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Counted(fastpool.Driver[Kind]):
    """Opens what a checkout asks for; `most` were open at once, from the beginning of connect to the end of close."""

    def __init__(self) -> None:
        self.open = self.most = 0
        self.fails: BaseException | None = None
        self.closes: BaseException | None = None
        self.may_close = threading.Event()
        self.may_close.set()

    def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Kind:
        self.open += 1
        self.most = max(self.most, self.open)
        if self.fails is not None:
            self.open -= 1
            raise self.fails
        return Kind(entry.request or "plain")

    def close(self, c: Kind) -> None:
        assert self.may_close.wait(PATIENCE)
        self.open -= 1
        if self.closes is not None:
            raise self.closes


def of(kind: str, timeout: Any = ...) -> Selection:
    return Selection(lambda c: c.kind == kind, kind, timeout)


def shared(driver: Counted, **options: Any) -> fastpool.Pool[Kind]:
    return fastpool.Pool(driver=driver, **{"max_size": 2, "shared": "replaced", "shared_max": 1, **options})


def permits(pool: fastpool.Pool[Kind]) -> int:
    assert pool.share is not None
    return int(pool.share.member.holding)


def test_a_selection_keeps_the_permit_of_what_it_replaces() -> None:
    driver = Counted()
    with shared(driver) as pool, shared(driver) as other:
        pool.checkin(pool.checkout(of("a")))
        b = pool.checkout(of("b"))
        assert (b.kind, driver.open, permits(pool)) == ("b", 1, 1)
        with pytest.raises(fastpool.NoConnectionsAvailable):
            other.checkout(0)
        pool.checkin(b)
        pool.clear()
        assert permits(pool) == 0 and other.checkout(0).kind == "plain"
        assert driver.most == 1


def test_a_waiter_that_is_handed_another_kind_keeps_its_permit() -> None:
    driver, kinds = Counted(), list[str]()
    with shared(driver, max_size=1) as pool:
        held = pool.checkout(of("a"))
        thread = threading.Thread(target=lambda: kinds.append(pool.checkout(of("b")).kind))
        thread.start()
        until(lambda: pool.stats().waiting == 1)
        pool.checkin(held)
        thread.join(PATIENCE)
        assert (kinds, driver.most, permits(pool)) == (["b"], 1, 1)


def test_the_permit_is_free_when_the_new_one_cannot_be_opened() -> None:
    driver = Counted()
    with shared(driver) as pool, shared(driver) as other:
        pool.checkin(pool.checkout(of("a")))
        driver.fails = OSError("refused")
        with pytest.raises(OSError, match="refused"):
            pool.checkout(of("b"))
        driver.fails = None
        assert (permits(pool), other.checkout(0).kind, driver.most) == (0, "plain", 1)


def test_the_permit_is_free_when_the_old_ones_close_is_interrupted() -> None:
    driver = Counted()
    with shared(driver) as pool, shared(driver) as other:
        pool.checkin(pool.checkout(of("a")))
        driver.closes = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            pool.checkout(of("b"))
        driver.closes = None
        assert (permits(pool), other.checkout(0).kind, driver.most) == (0, "plain", 1)


def test_a_task_connects_only_when_the_close_has_returned() -> None:
    driver = Counted()

    async def main(pool: fastpool.Pool[Kind]) -> str:
        async with pool.aconnection(of("a")):
            pass
        driver.may_close.clear()
        task = asyncio.create_task(kind_of(pool, "b"))
        await asyncio.to_thread(until, lambda: pool.stats().waiting == 1)
        assert (permits(pool), driver.open) == (1, 1), "a worker closes it, and has not come to an end"
        driver.may_close.set()
        return await task

    with shared(driver) as pool:
        assert asyncio.run(asyncio.wait_for(main(pool), PATIENCE)) == "b"
        assert (driver.most, permits(pool)) == (1, 1)


def test_a_task_of_an_async_pool_connects_only_when_the_close_has_returned() -> None:
    open_now, most = 0, 0
    may_close = asyncio.Event()

    class Awaited(fastpool.Driver[Kind]):
        async def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Kind:  # type: ignore[override]
            nonlocal open_now, most
            open_now += 1
            most = max(most, open_now)
            return Kind(entry.request or "plain")

        async def close(self, c: Kind) -> None:  # type: ignore[override]
            nonlocal open_now
            await may_close.wait()
            open_now -= 1

    async def main() -> None:
        pool = fastpool.AsyncPool(driver=Awaited(), max_size=2, shared="replaced", shared_max=1)
        async with pool:
            async with pool.connection(of("a")):
                pass
            task = asyncio.create_task(kind_of(pool, "b"))
            assert await soon(lambda: pool.stats().waiting == 1, PATIENCE)
            assert open_now == 1
            may_close.set()
            await task
            assert most == 1

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def kind_of(pool: Any, kind: str) -> str:
    async with pool.aconnection(of(kind)) if isinstance(pool, fastpool.Pool) else pool.connection(of(kind)) as c:
        return str(c.kind)


def test_a_deadlock_over_the_pools_of_a_name_is_told_at_once() -> None:
    driver = Counted()
    with shared(driver, name="left", timeout=None) as left, shared(driver, name="right", timeout=None) as right:
        with left.connection(), pytest.raises(fastpool.PoolDeadlock) as told, right.connection():
            pass
        assert "holds a lease of pool 'left' and waits for pool 'right'" in str(told.value)
        with left.connection():
            pass  # what is idle is given up
        with right.connection() as c:
            assert c.kind == "plain" and driver.most == 1


def test_two_threads_with_a_permit_each_that_wait_for_a_third() -> None:
    driver, results = Counted(), list[str]()
    both = threading.Barrier(2)

    def hold(first: fastpool.Pool[Kind], second: fastpool.Pool[Kind]) -> None:
        try:
            with first.connection():
                both.wait(PATIENCE)
                with second.connection():
                    results.append("entered")
        except fastpool.PoolDeadlock:
            results.append("deadlock")

    options: dict[str, Any] = {"shared_max": 2, "timeout": None}
    with shared(driver, name="left", **options) as left, shared(driver, name="right", **options) as right:
        threads = [threading.Thread(target=hold, args=pair) for pair in ((left, right), (right, left))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(results) == ["deadlock", "entered"] and driver.most == 2


class AwaitedClose(Counted):
    """The driver of an AsyncPool, whose closes last until `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.begun = asyncio.Event()

    async def close(self, c: Kind) -> None:  # type: ignore[override]
        self.begun.set()
        await self.go.wait()
        super().close(c)


@pytest.mark.parametrize("kind", [fastpool.Pool, fastpool.AsyncPool])
def test_a_tasks_selection_keeps_the_permit_of_what_it_replaces(kind: Any) -> None:
    async def main() -> None:
        driver = Counted() if kind is fastpool.Pool else AwaitedClose()
        pool = kind(driver=driver, max_size=5, shared="replaced", shared_max=1)
        block = pool.aconnection if kind is fastpool.Pool else pool.connection
        async with block(of("a")):
            pass
        replacing = asyncio.create_task(kind_of(pool, "b"))
        if isinstance(driver, AwaitedClose):
            await driver.begun.wait()
            driver.go.set()
        await replacing
        assert (driver.open, len(pool), permits(pool)) == (1, 1, 1)
        async with block():
            with pytest.raises(fastpool.PoolDeadlock):
                await kind_of(pool, "c")
        assert driver.most == 1
        pool.close() if kind is fastpool.Pool else await pool.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
