"""Engines of asyncio on a file, by aiosqlite, and what a test needs to use them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fastpool.adapters.sqlalchemy import AsyncFastPool
from tests.concurrency._told import soon as in_time
from tests.pool.fake_driver import PATIENCE

ONE = text("SELECT 1")
terminates = pytest.mark.skipif(
    not create_async_engine("sqlite+aiosqlite://").dialect.has_terminate,
    reason="this SQLAlchemy cannot end a connection of aiosqlite without awaiting, and leaves its thread behind",
)


class Opened:
    """Engines on one file, disposed in the end; what an engine's driver opened and closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened = 0

    @asynccontextmanager
    async def engine(self, **options: Any) -> AsyncIterator[AsyncEngine]:
        url = f"sqlite+aiosqlite:///{self.folder}/db"
        engine = create_async_engine(url, poolclass=AsyncFastPool, **options)
        event.listen(engine.sync_engine, "connect", self._note)
        try:
            yield engine
        finally:
            await engine.dispose()
            # They end in their own time, and raise if the loop has ended before them.
            await soon(no_thread_of_aiosqlite)

    def _note(self, c: Any, record: Any) -> None:
        self.opened += 1


@pytest.fixture
def on(tmp_path: Path) -> Opened:
    return Opened(tmp_path)


def no_thread_of_aiosqlite() -> bool:
    return not any("_connection_worker_thread" in thread.name for thread in threading.enumerate())


async def soon(condition: Callable[[], bool]) -> None:
    assert await in_time(condition, PATIENCE)


async def ask(engine: AsyncEngine) -> None:
    async with engine.connect() as c:
        assert await c.scalar(ONE) == 1


# aiosqlite loses the file that it opens for a connect that is cancelled
loses_files = pytest.mark.filterwarnings("ignore:unclosed database", "ignore::pytest.PytestUnraisableExceptionWarning")


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), PATIENCE * 2))  # type: ignore[arg-type]


def pool_of(engine: AsyncEngine) -> Any:
    return engine.sync_engine.pool
