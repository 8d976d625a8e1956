"""redis-py's pools for asyncio, replaced."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio

from ...._async.checkin import check_in
from ...._async.pool import CLOSES_S, AsyncPool
from ...._core import deadline_after
from ...._errors import LeaseError
from ..arguments import order_of
from ..common import Common
from ..driver import Waiting
from ..errors import NotInUse
from .driver import AsyncPinging, AsyncRedisDriver, AsyncUnknown
from .tracked import is_tracked, tracked

_checkin = AsyncPool.checkin


class ConnectionPool(Common, AsyncPool[Any], redis.asyncio.ConnectionPool):
    """redis.asyncio.ConnectionPool, replaced: ``redis.asyncio.Redis(connection_pool=ConnectionPool(host=…))``.

    Arguments as for :class:`fastpool.adapters.redis.ConnectionPool`; options of :class:`fastpool.AsyncPool` are taken
    by their names. A connection that was opened in one event loop is never handed out in another.
    """

    _library: Any = redis.asyncio.ConnectionPool
    _kind = AsyncRedisDriver
    _unknown = AsyncUnknown
    _pinging = AsyncPinging
    _is_tracked = staticmethod(is_tracked)
    _event_dispatcher: Any

    @property
    def driver_of_redis(self) -> AsyncRedisDriver:
        """The driver that knows redis-py's connections; AsyncPool's own makes each call in the connection's loop."""
        return self.driver.inner

    # ---- checkout and checkin

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:
        """Check out a connection, as :meth:`fastpool.adapters.redis.ConnectionPool.get_connection` does."""
        return await self._acheckout(...)

    async def release(self, connection: Any) -> None:
        """Return a connection; NotInUse, which is a KeyError, if it is not out. It never has to wait.

        It is closed if a reply to it has not been read.
        """
        if self._tells_release:
            await self._tell_release(connection)
        try:
            checkin = self._checkin_by_hand(connection, False)
        except LeaseError as error:
            raise NotInUse(str(error)) from None
        if checkin is not None:
            check_in(self, checkin)

    def make_connection(self) -> Any:
        """Make a connection, without connecting it or counting it: a subclass may make another one."""
        return tracked(self.connection_class)(**self.connection_kwargs)

    def can_get_connection(self) -> bool:
        """Whether a checkout would not have to wait."""
        idle, leased, connecting, *_ = self._counts()
        return bool(idle) or leased + connecting < self.config.max_size

    async def _tell_release(self, connection: Any) -> None:
        """Tell redis-py's listeners, who may use the connection: so before it is returned."""
        from redis.event import AsyncAfterConnectionReleasedEvent

        if any(one is connection for one in self.driver_of_redis.leased()):
            try:
                await self._event_dispatcher.dispatch_async(AsyncAfterConnectionReleasedEvent(connection))
            except BaseException:
                _checkin(self, connection, True)
                raise

    async def re_auth_callback(self, token: Any) -> None:
        """Replace all connections, because the token that they were opened with has been renewed."""
        self._sign_in_anew(token)

    # ---- its life

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the idle connections, and those in use, too, unless ``inuse_connections`` is false.

        Whoever has one of these gets redis-py's ConnectionError, or is connected again by redis-py. The pool goes on.
        Raises what a disconnect raised, after all were made.
        """
        self._retire_idle("cleared", 0)
        if inuse_connections:
            await self._disconnect_leased()
        await self._wait_for_closes(self.driver.closing, CLOSES_S)

    async def _disconnect_leased(self) -> None:
        here = asyncio.get_running_loop()
        mine = []
        for c in self.driver_of_redis.leased():
            loop = self.driver.homes.get(id(c), (c, here))[1]
            if loop is here:
                mine.append(c.disconnect())
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(c.disconnect(), loop)
        for result in await asyncio.gather(*mine, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def close(self, timeout: float | None = None) -> None:
        """Close all connections. As in redis-py the pool can be used again afterwards, which opens new ones.

        ``timeout``: wait so many seconds at most for those that are in use to be returned, before they are closed.
        """
        deadline = deadline_after(timeout)
        on_close = getattr(self, "_on_close", None)  # redis-py's, for maintenance notifications
        if on_close is not None:
            await on_close()
        self._retire_idle("cleared", 0)
        self.driver.stop_connecting(asyncio.get_running_loop())
        if timeout is not None:
            await self._wait_for_leases(deadline)
        first = self._begin_anew()
        await self.disconnect()
        if first:
            self._tell("pool_closed")

    async def aclose(self, timeout: float | None = None) -> None:
        """As :meth:`close`."""
        await self.close(timeout)

    def _forked(self) -> None:
        self._lock = asyncio.Lock()
        super()._forked()


class BlockingConnectionPool(ConnectionPool, redis.asyncio.BlockingConnectionPool):
    """redis.asyncio.BlockingConnectionPool, replaced: tasks wait ``timeout`` seconds for a connection, first come
    first served.

    ``queue_class``: asyncio.LifoQueue hands out the connection returned last, asyncio.Queue the one idle longest
    (fastpool's ``order``).
    """

    _mixins = (Waiting,)
    _in_maintenance = False
    queue_class: Any = asyncio.LifoQueue

    def __init__(
        self,
        max_connections: int = 50,
        timeout: float | None = 20,
        connection_class: Any = redis.asyncio.Connection,
        queue_class: Any = asyncio.LifoQueue,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("order", order_of(queue_class))
        self.queue_class = queue_class
        super().__init__(connection_class, max_connections, timeout=timeout, **kwargs)


ConnectionPool.__module__ = BlockingConnectionPool.__module__ = "fastpool.adapters.redis.asyncio"
