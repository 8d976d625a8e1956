"""A driver that ends blocks: when it is asked and called, and what follows from what it raises."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import fastpool
from fastpool._core import DefaultedCore
from tests.pool.fake_driver import PATIENCE


class Session:
    """A connection with a transaction: open after the first use in a block."""

    def __init__(self) -> None:
        self.open = False
        self.told: list[str] = []
        self.closes = 0

    def use(self) -> None:
        self.open = True

    def close(self) -> None:
        self.closes += 1


class Ending(fastpool.Driver[Session]):
    """Ends the transaction of a block, as told by `fails`."""

    def __init__(self) -> None:
        self.fails: BaseException | None = None
        self.unfit = False
        self.asked = 0
        self.resets = 0

    def connect(self, server: Any, timeout: float | None) -> Session:
        return Session()

    def is_clean(self, c: Session) -> bool:
        self.asked += 1
        return not c.open

    is_reset = is_clean

    def end_block(self, c: Session, exc: BaseException | None) -> Any:
        c.told.append("commit" if exc is None else f"rollback after {type(exc).__name__}")
        if self.fails is not None:
            raise self.fails
        c.open = False

    def reset(self, c: Session) -> Any:
        self.resets += 1
        c.open = False
        if self.unfit:
            raise ValueError("unfit")


class AsyncEnding(Ending):
    """Ends the transaction of a block with coroutine functions."""

    async def end_block(self, c: Session, exc: BaseException | None) -> Any:
        await asyncio.sleep(0)
        super().end_block(c, exc)

    async def reset(self, c: Session) -> Any:
        await asyncio.sleep(0)
        super().reset(c)


def in_thread(driver: Ending, *blocks: Callable[[Session], object], **options: Any) -> fastpool.Stats:
    with fastpool.Pool(driver=driver, max_size=1, **options) as pool:
        for block in blocks:
            with pool.connection() as c:
                block(c)
        return pool.stats()


def in_task(driver: Ending, *blocks: Callable[[Session], object], **options: Any) -> fastpool.Stats:
    async def main() -> fastpool.Stats:
        async with fastpool.AsyncPool(driver=driver, max_size=1, **options) as pool:
            for block in blocks:
                async with pool.connection() as c:
                    block(c)
            return pool.stats()

    return asyncio.run(main())


def in_task_on_threads(driver: Ending, *blocks: Callable[[Session], object], **options: Any) -> fastpool.Stats:
    async def main() -> fastpool.Stats:
        with fastpool.Pool(driver=driver, max_size=1, **options) as pool:
            for block in blocks:
                async with pool.aconnection() as c:
                    block(c)
            return pool.stats()

    return asyncio.run(main())


WAYS = [(in_thread, Ending), (in_task, AsyncEnding), (in_task_on_threads, Ending)]
ways = pytest.mark.parametrize(("run", "kind"), WAYS, ids=["threads", "tasks", "tasks on threads"])


@ways
def test_block_that_leaves_nothing_ends_without_a_call(run: Any, kind: type[Ending]) -> None:
    driver, seen = kind(), []
    run(driver, seen.append, seen.append, seen.append)
    assert seen[0] is seen[2]
    assert seen[0].told == []
    assert driver.asked >= 3


@ways
def test_block_is_ended_once(run: Any, kind: type[Ending]) -> None:
    driver, seen = kind(), []
    run(driver, seen.append, Session.use, seen.append, Session.use)
    assert seen[0] is seen[1]
    assert seen[0].told == ["commit", "commit"]


@ways
@pytest.mark.parametrize("error", [KeyError("theirs"), KeyboardInterrupt()], ids=["exception", "interrupt"])
def test_after_an_exception_the_reset_decides(run: Any, kind: type[Ending], error: BaseException) -> None:
    driver, seen = kind(), []

    def fail(c: Session) -> None:
        seen.append(c)
        c.use()
        raise error

    with pytest.raises(type(error)) as caught:
        run(driver, fail)
    assert caught.value is error
    assert seen[0].told == [f"rollback after {type(error).__name__}"]


def test_interrupted_block_keeps_its_connection() -> None:
    driver = Ending()
    with fastpool.Pool(driver=driver, max_size=1) as pool:
        with pytest.raises(KeyboardInterrupt), pool.connection() as c:
            raise KeyboardInterrupt
        with pool.connection() as again:
            assert again is c
        driver.unfit = True
        with pytest.raises(KeyError), pool.connection():
            raise KeyError
        with pool.connection() as another:
            assert another is not c
        assert c.closes == 1


@ways
def test_what_the_driver_raises_is_raised(run: Any, kind: type[Ending]) -> None:
    driver, seen = kind(), []
    driver.fails = ValueError("the commit failed")

    def use(c: Session) -> None:
        seen.append(c)
        c.use()

    with pytest.raises(ValueError, match="the commit failed") as caught:
        run(driver, use)
    assert caught.value is driver.fails
    assert seen[0].told == ["commit"]


def test_lease_is_over_when_the_driver_has_raised() -> None:
    driver = Ending()
    with fastpool.Pool(driver=driver, max_size=1) as pool:
        driver.fails = ValueError("the commit failed")
        with pytest.raises(ValueError, match="the commit failed"), pool.connection() as c:
            c.use()
        driver.fails = None
        assert pool.stats().leased == 0
        with pool.connection(timeout=0) as again:
            assert again is c, "its reset was good"


def test_nested_block_ends_nothing() -> None:
    driver = Ending()
    with fastpool.Pool(driver=driver, max_size=1, nested=True) as pool, pool.connection() as c:
        c.use()
        with pool.connection() as same:
            assert same is c
        assert c.told == []
    assert c.told == ["commit"]


def test_connection_that_is_returned_by_hand_is_reset_only() -> None:
    driver = Ending()
    with fastpool.Pool(driver=driver, max_size=1) as pool:
        c = pool.checkout()
        c.use()
        pool.checkin(c)
        assert (c.told, driver.resets, c.open) == ([], 1, False)


def test_block_whose_connection_was_taken_by_close_ends_nothing() -> None:
    driver = Ending()
    pool = fastpool.Pool(driver=driver, max_size=1)
    with pool.connection() as c:
        c.use()
        pool.close(timeout=0)
    assert c.told == []


def test_question_that_raises_ends_the_lease() -> None:
    class Raising(Ending):
        def is_clean(self, c: Session) -> bool:
            raise KeyboardInterrupt

    with fastpool.Pool(driver=Raising(), max_size=1) as pool:
        with pytest.raises(KeyboardInterrupt), pool.connection():
            pass
        assert pool.stats().leased == 0


class WithoutReset(fastpool.Driver[Session]):
    """Ends blocks and has no reset, so nothing can make a connection fit whose block could not be ended."""

    def connect(self, server: Any, timeout: float | None) -> Session:
        return Session()

    def end_block(self, c: Session, exc: BaseException | None) -> None:
        raise ConnectionError("broken while committing")


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()], ids=["block ends well", "block is interrupted"])
def test_without_a_reset_a_connection_whose_block_could_not_be_ended_is_closed(error: BaseException | None) -> None:
    with fastpool.Pool(driver=WithoutReset(), max_size=1) as pool:
        with pytest.raises(ConnectionError, match="while committing"), pool.connection() as c:
            if error is not None:
                raise error
        assert (len(pool), pool.stats().closed["error"], c.closes) == (0, 1, 1)


class Closing(Ending):
    """In the call that is named, another thread closes the pool at once, and so takes the connection."""

    def __init__(self, during: str) -> None:
        super().__init__()
        self.during = during
        self.pool: Any = None

    def is_clean(self, c: Session) -> bool:
        self._close("is_clean")
        return super().is_clean(c)

    def end_block(self, c: Session, exc: BaseException | None) -> None:
        assert c is not None
        self._close("end_block")
        super().end_block(c, exc)

    def _close(self, call: str) -> None:
        if call == self.during:
            closer = threading.Thread(target=self.pool.close, kwargs={"timeout": 0})
            closer.start()
            closer.join(PATIENCE)
            assert not closer.is_alive()


def use_in_thread(pool: Any) -> Session:
    with pool.connection() as c:
        c.use()
    return c


def use_in_task(pool: Any) -> Session:
    async def main() -> Session:
        async with pool.aconnection() as c:
            c.use()
        return c

    return asyncio.run(main())


users = pytest.mark.parametrize("use", [use_in_thread, use_in_task], ids=["threads", "tasks on threads"])


@users
def test_a_failed_commit_is_raised_also_if_close_took_the_lease_meanwhile(use: Any) -> None:
    driver = Closing("end_block")
    driver.fails = ConnectionError("the commit failed")
    driver.pool = fastpool.Pool(driver=driver, max_size=1)
    with pytest.raises(ConnectionError) as caught:
        use(driver.pool)
    assert caught.value is driver.fails


@users
def test_block_whose_connection_close_takes_during_the_question_ends_nothing(use: Any) -> None:
    driver = Closing("is_clean")
    driver.pool = fastpool.Pool(driver=driver, max_size=1)
    assert use(driver.pool).told == []


def test_a_driver_around_another_ends_blocks_by_its_own_end_block() -> None:
    class Around(Ending):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

    seen: list[Session] = []
    for inner in (fastpool.Driver(), "a text"):
        in_thread(Around(inner), seen.append, Session.use)
    assert [c.told for c in seen] == [["commit"], ["commit"]]


class Interrupted(AsyncEnding):
    """Of an AsyncPool: the first call named is left by the exception of a signal handler."""

    def __init__(self, during: str) -> None:
        super().__init__()
        self.during: str | None = during

    def is_clean(self, c: Session) -> bool:
        self._interrupt("is_clean")
        return super().is_clean(c)

    def is_reset(self, c: Session) -> bool:
        self._interrupt("is_reset")
        return not c.open

    def _interrupt(self, call: str) -> None:
        if call == self.during:
            self.during = None
            raise ZeroDivisionError(f"a signal in {call}")


@pytest.mark.parametrize("during", ["is_clean", "is_reset"])
def test_no_task_gets_an_unclean_connection_after_an_interrupted_question(during: str) -> None:
    async def main() -> None:
        driver = Interrupted(during)
        pool = fastpool.AsyncPool(driver=driver, max_size=1)
        lease = pool.connection()  # kept: the lease is over before it is collected
        with pytest.raises(ZeroDivisionError, match=during):
            async with lease as c:
                c.use()
        async with pool.connection(timeout=PATIENCE) as next_one:
            assert (next_one.open, next_one is c) == (False, during == "is_reset")
        assert driver.during is None and pool.stats().leased == 0
        await pool.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_putconn_returns_the_connection_when_the_question_is_interrupted() -> None:
    class Raising(Ending):
        def is_reset(self, c: Session) -> bool:
            raise KeyboardInterrupt

    class ByHand(DefaultedCore[Session], fastpool.Pool[Session]):
        pass

    with ByHand(driver=Raising(), max_size=1) as pool:
        c = pool.getconn()
        with pytest.raises(KeyboardInterrupt):
            pool.putconn(c)
        assert (pool.stats().leased, pool.stats().idle) == (0, 1)


@pytest.mark.parametrize("options", [{}, {"timing": True}], ids=["plain", "timing"])
def test_blocks_of_a_crowd_count_for_as_long_as_they_last(options: dict[str, Any]) -> None:
    """Most leases here begin with a wait in line; short ones must not count as less than nothing."""
    size, threads, rounds = 2, 6, 170
    lasted: list[float] = []

    def work() -> None:
        for _ in range(rounds):
            with pool.connection() as c:
                began = time.perf_counter()
                c.use()
                time.sleep(0.001)
                lasted.append(time.perf_counter() - began)

    with fastpool.Pool(driver=Ending(), max_size=size, timeout=None, **options) as pool:
        began = time.perf_counter()
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(50)
        wall = time.perf_counter() - began
        assert len(lasted) == threads * rounds
        assert pool.stats().leased == 0
        counted = pool._held_ns / 1e9
    tick = (
        0.01  # the coarse clock's; it is read at both ends, so that its errors cancel each other out over many blocks
    )
    assert counted > 0.5 * sum(lasted)
    assert counted < size * (wall + tick), "a connection is held by one caller at a time"
