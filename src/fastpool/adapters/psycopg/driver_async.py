"""How psycopg_pool's drop-ins open, check, finish and reset an awaited psycopg connection."""

from __future__ import annotations

import asyncio
import logging
import time
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

from .driver import IDLE, UNKNOWN, BaseDriver

if TYPE_CHECKING:
    from ..._core import Entry

logger = logging.getLogger("psycopg.pool")


class AsyncPsycopgDriver(BaseDriver):
    """Opens, checks, finishes and resets awaited connections."""

    exits = (AsyncConnection, ("__aexit__", "commit"))

    async def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection, and tell it its slot."""
        c = await self.connect(server, timeout)
        c._entry = entry
        return c

    async def connect(self, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection."""
        counters = self.counters
        counters.connections_num += 1
        conninfo = await resolved(self.conninfo) or ""
        kwargs = await resolved(self.kwargs)
        began = time.monotonic()
        try:
            c = await self._pooled_class.connect(conninfo, **self.arguments(kwargs, server, timeout))
        except Exception:
            counters.connections_errors += 1
            raise
        self.begin_life(c, began)
        try:
            if self.on_configure is not None:
                await self.on_configure(c)
                self.see_configured(c)
        except BaseException:
            await self.close(c)
            raise
        return c

    async def close(self, c: Any) -> None:
        """Close ``c`` for good, also where ``close_returns`` makes its close() return it."""
        c._pool = None
        await c.close()

    async def check(self, c: Any, timeout: float | None) -> bool:
        """Call the user's check; one that raises means dead."""
        if self.on_check is None:
            return True
        try:
            await self.on_check(c)
        except Exception as error:
            logger.info("connection failed check: %s", error)
            await asyncio.sleep(self.rest(c, timeout))
            return False
        return True

    async def ping(self, c: Any, timeout: float | None) -> bool:
        """Send an empty query."""
        try:
            await self.pool().check_connection(c)  # a subclass may have its own
        except Exception:
            return False
        return True

    async def end_block(self, c: Any, exc: BaseException | None) -> None:
        """Commit, or roll back after an exception, as the connection's own ``async with`` block does."""
        if exc is None:
            await c.__aexit__(None, None, None)
        else:
            await c.__aexit__(type(exc), exc, exc.__traceback__)

    async def reset(self, c: Any) -> None:
        """Roll back what was left open, and call the user's reset. Raises for a connection that is to be closed."""
        status = c.pgconn.transaction_status
        if status == IDLE:
            if self.is_reset(c):
                return
        elif status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            logger.warning("rolling back returned connection: %s", c)
            try:
                await c.rollback()
            except Exception as error:
                kind = type(error).__name__
                logger.warning("rollback failed: %s: %s. Discarding connection %s", kind, error, c)
                await self.close(c)
        elif status == TransactionStatus.ACTIVE:
            logger.warning("closing returned connection: %s", c)
            await self.close(c)
        if self.on_reset is not None and c.pgconn.transaction_status != UNKNOWN:
            try:
                await self.on_reset(c)
                self.see_reset(c)
            except Exception as error:
                logger.warning("error resetting connection: %s", error)
                await self.close(c)
        self.see_returned(c)


async def resolved(value: Any) -> Any:
    """``value``, or what it returns if it is callable, awaited where that is needed."""
    if callable(value):
        value = value()
    return await value if isawaitable(value) else value


async def check_connection(conn: AsyncConnection[Any]) -> None:
    """Send an empty query; raises what psycopg raises if that fails."""
    if conn.autocommit:
        await conn.execute("")
        return
    await conn.set_autocommit(True)
    try:
        await conn.execute("")
    finally:
        try:
            await conn.set_autocommit(False)
        except Exception:
            pass  # it is closed, and the caller gets to know why
