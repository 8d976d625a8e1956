"""Checkouts that can use only some of the pool's connections: which one they get, and what it costs the others."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

import fastpool
from fastpool._core import Entry, Selection
from tests.pool.fake_driver import PATIENCE, balanced, until, waiting


class Kind:
    """A connection of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Kinds(fastpool.Driver[Kind]):
    """Opens what the checkout asks for; what asks for nothing gets a plain one."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.opening: Any = None

    def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Kind:
        self.asked.append(entry.request)
        if self.opening is not None:
            self.opening(timeout)
        return Kind(entry.request or "plain")


def of(kind: str, timeout: Any = ...) -> Selection:
    return Selection(lambda c: c.kind == kind, kind, timeout)


def test_an_idle_one_that_will_do_comes_before_room_and_room_before_another_kinds() -> None:
    with fastpool.Pool(driver=Kinds(), max_size=3) as pool:
        a, b = pool.checkout(of("a")), pool.checkout(of("b"))
        pool.checkin(a)
        pool.checkin(b)
        assert pool.checkout(of("a")) is a
        c = pool.checkout(of("c"))
        assert (c.kind, b.closed, len(pool)) == ("c", False, 3)
        pool.checkin(c)
        with pool.connection(of("b")) as again:
            assert again is b


def test_with_no_room_the_one_idle_longest_makes_way() -> None:
    with fastpool.Pool(driver=Kinds(), max_size=2, idle_timeout=60) as pool:
        a, b = pool.checkout(of("a")), pool.checkout(of("b"))
        pool.checkin(a)
        time.sleep(0.02)  # the coarse clock tells them apart
        pool.checkin(b)
        c = pool.checkout(of("c"))
        assert (a.closed, b.closed, c.kind) == (True, False, "c")
        assert pool.stats().closed["discarded"] == 1


def test_who_asks_for_nothing_gets_any() -> None:
    driver = Kinds()
    with fastpool.Pool(driver=driver) as pool:
        a = pool.checkout(of("a"))
        pool.checkin(a)
        assert pool.checkout() is a
        assert pool.checkout().kind == "plain" and driver.asked == ["a", None]


def test_its_timeout_is_the_checkouts() -> None:
    with fastpool.Pool(driver=Kinds(), max_size=1) as pool, pool.connection(of("a")):
        for timeout in (0, 0.01):
            with pytest.raises(fastpool.NoConnectionsAvailable):
                pool.checkout(of("a", timeout))
            with pytest.raises(fastpool.NoConnectionsAvailable), pool.connection(of("a", timeout)):
                pass
        with pytest.raises(ValueError, match="non-negative"):
            pool.checkout(of("a", -1))


def test_what_accepts_raises_leaves_the_checkout_and_costs_no_slot() -> None:
    def accepts(c: Kind) -> bool:
        raise KeyError(c.kind)

    with fastpool.Pool(driver=Kinds(), max_size=1) as pool:
        pool.checkin(pool.checkout(of("a")))
        with pytest.raises(KeyError, match="a"):
            pool.checkout(Selection(accepts))
        assert pool.checkout(of("b")).kind == "b"
        balanced(pool)


@pytest.mark.parametrize("max_connecting", [1, 10])
def test_who_waited_keeps_the_slot_that_it_was_handed(max_connecting: int) -> None:
    """It comes first, and so it gets a connection before those behind it, though it has to open one."""
    order: list[str] = []
    with fastpool.Pool(driver=Kinds(), max_size=1, max_connecting=max_connecting) as pool:
        held = pool.checkout(of("a"))

        def ask(kind: str) -> None:
            c = pool.checkout(of(kind))
            order.append(c.kind)
            pool.checkin(c)

        threads = []
        for number, kind in enumerate(["b", "a", "a"]):
            threads.append(threading.Thread(target=ask, args=(kind,)))
            threads[-1].start()
            waiting(pool, number + 1)
        pool.checkin(held)
        for thread in threads:
            thread.join(PATIENCE)
        assert order == ["b", "a", "a"]
        balanced(pool)


def test_a_connect_that_fails_in_its_place_frees_it() -> None:
    driver = Kinds()
    with fastpool.Pool(driver=driver, max_size=1) as pool:
        a = pool.checkout(of("a"))
        pool.checkin(a)
        driver.opening = lambda timeout: 1 / 0
        with pytest.raises(ZeroDivisionError):
            pool.checkout(of("b"))
        driver.opening = None
        assert a.closed and len(pool) == 0 and pool.checkout(of("c")).kind == "c"
        balanced(pool)


def test_a_connect_that_goes_on_without_its_caller_is_what_that_one_asked_for() -> None:
    driver, go = Kinds(), threading.Event()

    def opening(timeout: float | None) -> None:
        if timeout is not None and timeout < 10:
            raise TimeoutError
        assert go.wait(PATIENCE)

    driver.opening = opening
    with fastpool.Pool(driver=driver, max_size=1) as pool:
        with pytest.raises((TimeoutError, fastpool.NoConnectionsAvailable)):
            pool.checkout(Selection(lambda c: True, "a", 1e-9))
        go.set()
        until(lambda: len(pool) == 1)
        assert driver.asked == ["a", "a"]
        with pool.connection(of("a")) as c:
            assert c.kind == "a"


def test_nested_blocks_share_what_will_do() -> None:
    with fastpool.Pool(driver=Kinds(), nested=True) as pool, pool.connection(of("a")) as a:
        with pool.connection(of("b")) as b, pool.connection(of("a")) as again, pool.connection() as any_of_them:
            assert again is a and b.kind == "b" and any_of_them in (a, b)
        assert len(pool) == 2


def test_a_block_as_a_decorator() -> None:
    with fastpool.Pool(driver=Kinds()) as pool:

        @pool.connection(of("a"))
        def inside() -> str:
            return "well"

        assert (inside(), inside(), pool.stats().connects) == ("well", "well", 1)


def test_tasks() -> None:
    async def main(pool: fastpool.Pool[Kind]) -> None:
        async with pool.aconnection(of("a")) as a:
            with pytest.raises(fastpool.NoConnectionsAvailable):
                async with pool.aconnection(of("a", 0.01)):
                    pass
            behind = asyncio.create_task(kind_of("b"))
            await asyncio.to_thread(waiting, pool, 1)
        assert await behind == "b"
        await asyncio.to_thread(until, lambda: a.closed)  # by a thread of the pool's own
        async with pool.aconnection(of("b")) as b:
            assert b.kind == "b"
        assert pool.stats().connects == 2

    async def kind_of(kind: str) -> str:
        async with pool.aconnection(of(kind)) as c:
            return c.kind

    with fastpool.Pool(driver=Kinds(), max_size=1) as pool:
        asyncio.run(asyncio.wait_for(main(pool), PATIENCE))
        balanced(pool)


def test_tasks_of_an_async_pool() -> None:
    driver = Kinds()
    seen: list[Entry] = []

    def open_entry(entry: Entry, server: Any, timeout: float | None) -> Kind:
        seen.append(entry)
        return Kinds.open_entry(driver, entry, server, timeout)

    driver.open_entry = open_entry  # type: ignore[method-assign]

    async def main() -> None:
        async with fastpool.AsyncPool(driver=driver, max_size=2) as pool:
            async with pool.connection(of("a")) as a, pool.connection(of("b")) as b:
                assert (a.kind, b.kind) == ("a", "b")
            async with pool.connection(of("b")) as again:
                assert again is b
            async with pool.connection(of("c")) as c:
                assert c.kind == "c"
            driver.opening = lambda timeout: 1 / 0
            with pytest.raises(ZeroDivisionError):
                async with pool.connection(of("d")):
                    pass
            assert [entry.request for entry in seen] == [None] * 4, "kept no longer than the connect"

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert driver.asked == ["a", "b", "c", "d"]


def test_many_threads_of_many_kinds() -> None:
    faults: list[object] = []
    with fastpool.Pool(driver=Kinds(), max_size=3, check_after=0) as pool:

        def work(number: int) -> None:
            for turn in range(200):
                kind = "abcd"[(number * 7 + turn) % 4]
                with pool.connection(of(kind)) as c:
                    if c.kind != kind or c.closed or len(pool) > 3:
                        faults.append((number, turn, c.kind, kind))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert faults == [] and not any(thread.is_alive() for thread in threads)
        balanced(pool)
