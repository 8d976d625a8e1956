"""redis-py's pools for synchronous clients, replaced."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import queue
import threading
from typing import Any

import redis

from ..._core import deadline_after
from ..._errors import LeaseError
from ..._pool import Pool
from .arguments import order_of
from .common import Common
from .driver import Pinging, RedisDriver, Unknown, Waiting
from .tracked import CacheConnection, is_tracked, tracked

# super() costs as much as what it finds here
_checkout, _checkin = Pool.checkout, Pool.checkin


class ConnectionPool(Common, Pool[Any], redis.ConnectionPool):
    """redis.ConnectionPool, replaced: ``redis.Redis(connection_pool=ConnectionPool(host=…, max_connections=…))``.

    ``connection_class``, ``max_connections`` and all other arguments are redis-py's, those of the connections among
    them. Options of :class:`fastpool.Pool` except ``max_size`` are taken by their names; ``timeout`` is 0 here: when
    all connections are in use, a checkout fails at once. ``check_after`` is 0, so every connection is looked at before
    it is handed out. TypeError or ValueError for a bad argument.
    """

    driver: RedisDriver
    _event_dispatcher: Any
    _library: Any = redis.ConnectionPool
    _kind = RedisDriver
    _unknown = Unknown
    _pinging = Pinging
    _is_tracked = staticmethod(is_tracked)

    # ---- checkout and checkin

    def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> Any:
        """Check out a connection; return it with :meth:`release`. The arguments have no effect, as in redis-py.

        It is connected, and the server has sent nothing that nobody read. MaxConnectionsError (with
        BlockingConnectionPool: ConnectionError) if none comes free in ``timeout``; redis-py's errors if none can be
        opened.
        """
        return _checkout(self)

    def release(self, connection: Any) -> None:
        """Return a connection; nothing happens if it is not out. It is closed if a reply to it has not been read."""
        if self._tells_release:
            self._tell_release(connection)
        try:
            _checkin(self, connection)
        except LeaseError:
            pass

    def make_connection(self) -> Any:
        """Make a connection, without connecting it or counting it: a subclass may make another one."""
        c = tracked(self.connection_class)(**self.connection_kwargs)
        cache = getattr(self, "cache", None)
        return c if cache is None else CacheConnection(c, cache, self._lock)

    def _tell_release(self, connection: Any) -> None:
        """Tell redis-py's listeners, who may use the connection: so before it is returned."""
        from redis.event import AfterConnectionReleasedEvent

        if any(one is connection for one in self.driver.leased()):
            try:
                self._event_dispatcher.dispatch(AfterConnectionReleasedEvent(connection))
            except BaseException:
                _checkin(self, connection, True)
                raise

    def re_auth_callback(self, token: Any) -> None:
        """Replace all connections, because the token that they were opened with has been renewed."""
        self._sign_in_anew(token)

    # ---- its life

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the idle connections, and those in use, too, unless ``inuse_connections`` is false.

        Whoever has one of these gets redis-py's ConnectionError, or is connected again by redis-py. The pool goes on.
        """
        self._retire_idle("cleared", 0)
        if inuse_connections:
            for c in self.driver.leased():
                c.disconnect()

    def close(self, timeout: float | None = None) -> None:
        """Close all connections. As in redis-py the pool can be used again afterwards, which opens new ones.

        ``timeout``: wait so many seconds at most for those that are in use to be returned, before they are closed.
        """
        deadline = deadline_after(timeout)
        self._retire_idle("cleared", 0)
        if timeout is not None:
            self._wait_for_leases(deadline)
        first = self._begin_anew()
        self.disconnect()
        if first:
            self._tell("pool_closed")

    def _start(self, driver: Any, config: Any) -> None:
        super()._start(driver, config)
        self._lock = threading.RLock()  # what redis-py's own code takes; before version 6 some pools have none

    def _forked(self) -> None:
        self._lock = threading.RLock()  # a thread of the parent may have held the other one
        super()._forked()


class BlockingConnectionPool(ConnectionPool, redis.BlockingConnectionPool):
    """redis.BlockingConnectionPool, replaced: callers wait ``timeout`` seconds for a connection, first come first
    served.

    ``queue_class``: queue.LifoQueue hands out the connection returned last, queue.Queue the one idle longest
    (fastpool's ``order``).
    """

    _mixins = (Waiting,)
    _in_maintenance = False
    queue_class: Any = queue.LifoQueue

    def __init__(
        self,
        max_connections: int = 50,
        timeout: float | None = 20,
        connection_class: Any = redis.Connection,
        queue_class: Any = queue.LifoQueue,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("order", order_of(queue_class))
        self.queue_class = queue_class
        super().__init__(connection_class, max_connections, timeout=timeout, **kwargs)


ConnectionPool.__module__ = BlockingConnectionPool.__module__ = "fastpool.adapters.redis"
