"""How psycopg_pool's drop-ins open, check, finish and reset an awaited psycopg connection."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from .driver_shared import BaseDriver, probe_steps
from .steps import awaited

if TYPE_CHECKING:
    from ..._core import Entry


async def resolved(value: Any) -> Any:
    """``value``, or what it returns if it is callable, awaited where that is needed."""
    if callable(value):
        value = value()
    return await value if isawaitable(value) else value


class AsyncPsycopgDriver(BaseDriver):
    """Opens, checks, finishes and resets awaited connections."""

    exits = (AsyncConnection, ("__aexit__", "commit"))
    resolved = staticmethod(resolved)
    pause = staticmethod(asyncio.sleep)

    async def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection, and tell it its slot."""
        c = await self.connect(server, timeout)
        c._entry = entry
        return c

    async def connect(self, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection."""
        return await awaited(self.connect_steps(server, timeout))

    async def close(self, c: Any) -> None:
        """Close ``c`` for good, also where ``close_returns`` makes its close() return it."""
        c._pool = None
        await c.close()

    async def check(self, c: Any, timeout: float | None) -> bool:
        """Call the user's check; one that raises means dead."""
        return self.on_check is None or await awaited(self.check_steps(c, timeout))

    async def reset(self, c: Any) -> None:
        """Roll back what was left open, and call the user's reset. Raises for a connection that is to be closed."""
        await awaited(self.reset_steps(c))

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


async def check_connection(conn: AsyncConnection[Any]) -> None:
    """Send an empty query; raises what psycopg raises if that fails."""
    await awaited(probe_steps(conn))
