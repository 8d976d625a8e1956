"""Connections whose loop is closed before their close was over: each is ended once, and its permit is free again."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import fastpool
from tests.pool.fake_driver import until
from tests.process._scripts import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    pages = tmp_path / "pages"
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(pages))
    yield pages
    assert not pages.exists() or list(pages.iterdir()) == [], "the last pool to be closed removes the page"


class Connection:
    """A connection; `ended` counts how often it was ended."""

    ended = 0


class Driver(fastpool.Driver[Connection]):
    """Opens in a loop; a close waits while it `holds`, for ever; `close_without_loop` raises what `fails` is."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.begun, self.holds = asyncio.Event(), False
        self.fails: Exception | None = None

    async def connect(self, server: Any, timeout: float | None) -> Connection:  # type: ignore[override]
        self.made.append(Connection())
        return self.made[-1]

    async def close(self, c: Connection) -> None:  # type: ignore[override]
        self.begun.set()
        if self.holds:
            await asyncio.Event().wait()
        c.ended += 1

    def close_without_loop(self, c: Connection) -> None:
        c.ended += 1
        if self.fails is not None:
            raise self.fails


def in_a_loop_that_is_closed(work: Coroutine[Any, Any, None]) -> None:
    """Run it; close the loop with the tasks that are left, as a program that does not use asyncio.run."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # tasks that are pending when they are collected
    try:
        loop.run_until_complete(asyncio.wait_for(work, PATIENCE))
    finally:
        loop.close()


async def use(pool: fastpool.AsyncPool[Connection]) -> None:
    async with pool.connection(timeout=PATIENCE):
        pass


async def use_and_close(pool: fastpool.AsyncPool[Connection], driver: Driver) -> None:
    driver.holds = False
    await use(pool)
    await pool.close(timeout=PATIENCE)


def test_a_close_that_was_under_way_in_it_keeps_no_permit() -> None:
    driver = Driver()
    driver.holds = True
    pool = fastpool.AsyncPool(driver=driver, shared="closed", shared_max=1)

    async def discard() -> None:
        lease = pool.connection()
        async with lease:
            lease.discard()
        await driver.begun.wait()
        assert pool.share is not None and pool.share.member.holding == 1, "its server may still see it"

    in_a_loop_that_is_closed(discard())
    asyncio.run(use_and_close(pool, driver))
    assert [c.ended for c in driver.made] == [1, 1]


@pytest.mark.parametrize("options", [{}, {"shared": "closed", "shared_max": 1}], ids=["alone", "shared"])
def test_what_was_handed_to_it_to_be_closed_is_ended_at_the_next_use(options: dict[str, Any]) -> None:
    driver = Driver()
    pool = fastpool.AsyncPool(driver=driver, max_size=2, **options)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use(pool))
    pool.clear()  # from outside: the idle one is handed to its loop, which does not run
    loop.close()
    asyncio.run(use(pool))
    assert driver.made[0].ended == 1
    asyncio.run(pool.close(timeout=PATIENCE))
    assert [c.ended for c in driver.made] == [1, 1]


def test_a_ping_that_was_under_way_in_it_is_over_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    pinging = asyncio.Event()

    class Pinging(Driver):
        async def ping(self, c: Connection, timeout: float | None) -> bool:  # type: ignore[override]
            pinging.set()
            await asyncio.Event().wait()
            return True

    driver = Pinging()
    pool = fastpool.AsyncPool(driver=driver, max_size=1, keepalive=0.01, check_timeout=0.5)

    async def use_until_the_ping() -> None:
        await use(pool)
        await pinging.wait()

    in_a_loop_that_is_closed(use_until_the_ping())
    until(lambda: driver.made[0].ended == 1)  # the keeper gave the ping up, and ended the connection without its loop
    assert [record.getMessage() for record in caplog.records if record.name == "concurrent.futures"] == []
    asyncio.run(use_and_close(pool, driver))


def test_an_error_of_close_without_loop_is_logged_and_keeps_no_permit(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver()
    driver.fails = OSError("cannot")
    pool = fastpool.AsyncPool(driver=driver, shared="closed", shared_max=1, max_size=2)
    in_a_loop_that_is_closed(use(pool))
    with caplog.at_level(logging.WARNING, "fastpool"):
        asyncio.run(use_and_close(pool, driver))
    assert "without its loop failed: OSError('cannot')" in caplog.text
    assert [c.ended for c in driver.made] == [1, 1]


FORKED = """
import asyncio, os, sys, warnings
import fastpool
warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 on: a fork with threads running is what is tested here
parent, begun = os.getpid(), asyncio.Event()

class Driver(fastpool.Driver):
    async def connect(self, server, timeout):
        return os.getpid(), "a connection"
    async def close(self, c):
        begun.set()
        if c[0] == os.getpid() == parent:
            await asyncio.Event().wait()
    def close_without_loop(self, c):
        if c[0] != os.getpid():
            print("the child ended a connection of its parent's", flush=True)

async def use():
    async with pool.connection(timeout=20):
        pass

async def discard():
    await use()
    pool.clear()
    await begun.wait()

async def use_and_close():
    await use()
    pool._sweep_closes()  # as the keeper does from time to time
    await pool.close(timeout=20)

pool = fastpool.AsyncPool(driver=Driver(), max_size=2, shared="forked")
loop = asyncio.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)
if sys.argv[1] == "handed":
    loop.run_until_complete(use())
    pool.clear()
else:
    loop.run_until_complete(discard())
if os.fork() == 0:
    loop.close()
    asyncio.run(use_and_close())
    print("child well", flush=True)
    os._exit(0)
_, status = os.wait()
print("parent well" if status == 0 else status, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("way", ["handed", "under way"])
def test_a_forked_child_does_not_end_what_its_parent_was_closing(way: str, folder: Path) -> None:
    assert run(FORKED, way).split("\n") == ["child well", "parent well", ""]
    for page in folder.iterdir():
        page.unlink()  # the parent left at once
