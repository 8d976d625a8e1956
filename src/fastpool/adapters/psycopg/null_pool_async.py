"""psycopg_pool.AsyncNullConnectionPool, replaced."""

from __future__ import annotations

import asyncio
from typing import Any

from .driver_async import AsyncPsycopgDriver
from .driver_shared import BaseDriver, never
from .hints import ACT
from .null_pool import NullBaseDriver, NullPool
from .pool_async import AsyncConnectionPool
from .steps import awaited


class AsyncNullDriver(NullBaseDriver, AsyncPsycopgDriver):
    """The driver of awaited connections."""

    closes_in_reset = True  # before the block ends, as its holder may look

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.is_clean = self.is_reset = never  # type: ignore[method-assign,assignment]  # reset() closes most of them


class AsyncNullConnectionPool(NullPool, AsyncConnectionPool[ACT]):
    """An AsyncConnectionPool that keeps no idle connection: it bounds how many are open, if ``max_size`` is not 0.

    ``wait()`` opens one connection, and closes it.
    """

    driver_class = AsyncNullDriver

    async def _connect_once(self, timeout: float) -> None:
        async with asyncio.timeout(timeout):
            c = await awaited(BaseDriver.connect_steps(self.psycopg, None, timeout))
        await self.psycopg.close(c)

    async def check(self) -> None:
        """Do nothing: there are no idle connections."""
