"""psycopg_pool.AsyncNullConnectionPool, replaced."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from psycopg.errors import ConnectionTimeout

from .driver import UNKNOWN, never
from .driver_async import AsyncPsycopgDriver
from .errors import PoolTimeout, Unfit
from .hints import ACT
from .null_pool import NullPool
from .pool_async import AsyncConnectionPool


class AsyncNullDriver(AsyncPsycopgDriver):
    """Opens connections in the caller's time, and keeps those for which another caller waits."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.is_clean = self.is_reset = never  # type: ignore[method-assign,assignment]  # reset() closes most of them

    async def connect(self, server: Any, timeout: float | None) -> Any:
        """Open, configure and check a connection."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                c = await super().connect(server, timeout)
            except ConnectionTimeout as error:
                raise PoolTimeout(str(error)) from None
            if self.on_check is None or await self.check(c, timeout):
                return c
            await self.close(c)
            if until is not None:
                timeout = until - time.monotonic()
                if timeout <= 0:
                    raise PoolTimeout("no connection passed the check in the time of the checkout")

    async def reset(self, c: Any) -> None:
        """Make ``c`` fit for a caller that waits; without one it is closed. Raises for one that is to be closed."""
        if self.pool().has_waiters:
            await super().reset(c)
            return
        if c.pgconn.transaction_status == UNKNOWN:
            self.counters.returns_bad += 1
        await self.close(c)  # before the block ends, as its holder may look
        raise Unfit


class AsyncNullConnectionPool(NullPool, AsyncConnectionPool[ACT]):
    """An AsyncConnectionPool that keeps no idle connection: it bounds how many are open, if ``max_size`` is not 0."""

    driver_class = AsyncNullDriver

    async def wait(self, timeout: float = 30.0) -> None:
        """Open one connection, and close it; PoolTimeout, and the pool is closed, after ``timeout`` seconds."""
        self._check_open_getconn()
        attempts = self.filler.attempts(self)
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            try:
                async with asyncio.timeout(max(left, 0)):
                    c = await self._connect_for_a_test(max(left, 0))
                await self.psycopg.close(c)
                return
            except Exception as error:
                attempts.failed(self.name, error)
            left = until - time.monotonic()
            if left <= 0:
                await self.close()
                raise PoolTimeout(f"pool initialization incomplete after {timeout} sec")
            await asyncio.sleep(min(attempts.due(True), left))

    async def _connect_for_a_test(self, timeout: float) -> Any:
        driver: Any = self.psycopg
        return await AsyncPsycopgDriver.connect(driver, None, timeout)

    async def check(self) -> None:
        """Do nothing: there are no idle connections."""
