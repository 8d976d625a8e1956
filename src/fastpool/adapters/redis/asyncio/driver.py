"""The driver for redis.asyncio's connections."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..driver import RedisDriver
from .tracked import Tracked, descriptor_of

if TYPE_CHECKING:
    from ...._core import Entry


class AsyncRedisDriver(RedisDriver):
    """Opens the connections that the pool's ``make_connection`` makes, with await."""

    async def open_entry(self, entry: Entry, server: tuple[str, int] | None, timeout: float | None) -> Any:
        """Make and connect a connection; whatever redis-py raises is the caller's, who cancels this in time."""
        pool = self.pool()
        if getattr(pool, "_in_maintenance", False):
            async with pool._lock:  # redis-py changes the arguments of connections
                pass
        c = self.made(entry, server)
        try:
            # redis-py's own way to connect (from 5.0.1 on), which a subclass may override
            ensure = getattr(pool, "ensure_connection", None)
            await (c.connect() if ensure is None else ensure(c))
        except BaseException:
            await disconnected(c)
            raise
        if isinstance(c, Tracked):
            c._entry = entry
            c._probed = pool.config.check_after == 0
        return c

    async def close(self, c: Any) -> None:
        """Disconnect."""
        if self.let_go(c):
            await c.disconnect()

    fileno = staticmethod(descriptor_of)  # a call less at each checkout


class AsyncUnknown:
    """Mixed into the driver of connections of the user's own kind, which are asked as redis-py's pool asks them."""

    async def check(self, c: Any, timeout: float | None) -> bool:
        """Whether nothing has come that nobody has read."""
        can_read = getattr(c, "can_read", None) or c.can_read_destructive
        should_reconnect = getattr(c, "should_reconnect", None)
        return not ((should_reconnect is not None and should_reconnect()) or await can_read())

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Close it: nobody knows whether a reply is still to come."""
        return False


class AsyncPinging:
    """Mixed into the driver of a pool with ``keepalive``. Without, no checkout asks for a check."""

    async def ping(self, c: Any, timeout: float | None) -> bool:
        """Send PING, and read the answer; the pool bounds the time."""
        await c.send_command("PING", check_health=False)
        await c.read_response()
        return True


async def disconnected(c: Any) -> None:
    """Disconnect without waiting for the server, where that can be said."""
    if isinstance(c, Tracked):
        await c.disconnect(nowait=True)
    else:
        await c.disconnect()
