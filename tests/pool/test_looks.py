"""The looks of a driver of its own at a connection, and those of tasks that need no coroutine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import fastpool


class Both:
    """A connection with both ends of a socket."""

    def __init__(self, entry: Any = None) -> None:
        self.entry = entry
        self.mine, self.other = socket.socketpair()
        self.in_step = True

    def close(self) -> None:
        self.mine.close()
        self.other.close()


class Looking(fastpool.Driver[Both]):
    """Finds out by itself that a connection is out of step, when it is asked for the descriptor."""

    def open_entry(self, entry: Any, server: Any, timeout: float | None) -> Both:
        return Both(entry)

    def fileno(self, c: Both) -> int:
        if not c.in_step:
            c.entry.taint(True)
            raise ValueError("out of step")
        return c.mine.fileno()


@pytest.fixture
def pool() -> Iterator[fastpool.Pool[Both]]:
    with fastpool.Pool(driver=Looking(), check_after=0) as pool:
        yield pool


def test_a_driver_that_marks_the_slot_when_it_looks_says_desync(pool: fastpool.Pool[Both]) -> None:
    with pool.connection() as c:
        pass
    c.in_step = False
    with pool.connection() as other:
        assert other is not c
        assert pool.stats().closed["desync"] == 1
        other.in_step = False
    assert (pool.stats().closed["desync"], len(pool)) == (2, 0)


def test_one_that_only_raises_says_dead(pool: fastpool.Pool[Both]) -> None:
    with pool.connection() as c:
        c.mine.close()
    assert pool.stats().closed["dead"] == 1


def test_a_task_needs_no_coroutine_for_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with fastpool.AsyncPool(driver=Looking(), check_after=0) as pool:
            asked = []
            obtain = pool._obtain

            def counted(checkout: Any) -> Any:
                asked.append(checkout)
                return obtain(checkout)

            monkeypatch.setattr(pool, "_obtain", counted)
            async with pool.connection() as c:
                assert len(asked) == 1  # it connects
            for _ in range(3):
                async with pool.connection() as again:
                    assert again is c
                assert await pool.checkout() is c
                pool.checkin(c)
            assert len(asked) == 1
            c.other.send(b"x")
            async with pool.connection() as other:  # the look rejects it, and a coroutine goes on
                assert other is not c
            assert len(asked) == 2
            assert pool.stats().closed["desync"] == 1

    asyncio.run(work())


def test_a_task_that_must_check_awaits_it() -> None:
    asked = []

    class Checking(Looking):
        async def check(self, c: Both, timeout: float | None) -> bool:
            await asyncio.sleep(0)
            asked.append(c)
            return True

    async def work() -> None:
        async with fastpool.AsyncPool(driver=Checking(), check_after=0) as pool:
            for _ in range(3):
                async with pool.connection():
                    pass
        assert len(asked) == 2

    asyncio.run(work())


class Refused(Exception):
    pass


class Refusing(fastpool.Driver[Any]):
    rounds = 2
    tries = 0
    blamed = True

    async def connect(self, server: Any, timeout: float | None) -> Any:
        self.tries += 1
        raise OSError(server)

    def blames_server(self, error: Exception) -> bool:
        return self.blamed

    def none_left(self, error: BaseException) -> BaseException:
        return Refused(error)


@pytest.mark.parametrize(("blamed", "tries", "error"), [(True, 4, Refused), (False, 1, OSError)])
def test_a_task_asks_the_driver_about_refusals(blamed: bool, tries: int, error: type[Exception]) -> None:
    driver = Refusing()
    driver.blamed = blamed

    async def work() -> None:
        pool = fastpool.AsyncPool(driver=driver, servers=[("a", 1), ("b", 2)], backoff=(0.001, 0.001))
        with pytest.raises(error):
            await pool.checkout(10)
        await pool.close()

    asyncio.run(work())
    assert driver.tries == tries
