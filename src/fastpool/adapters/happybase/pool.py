"""The drop-in for happybase.ConnectionPool.

::

    pool = fastpool.ConnectionPool(size=8, host="hbase-thrift", timeout=5000)
    with pool.connection() as connection:
        connection.table("users").row(b"ann")
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import logging
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Unpack

import happybase
import happybase.pool
from happybase.connection import DEFAULT_HOST, DEFAULT_PORT

from ... import _errors
from ..._core import PrefixedCore
from ..._pool import Pool
from .._thrift.arguments import PATIENCE_S, checked_size, options_among
from .._thrift.driver import ThriftDriver
from .._thrift.prefix import Prefix, by_hand
from .blocks import PrefixedLease, TableBlock
from .connection import GuardedConnection
from .wire import Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from ..._core import Entry
    from .options import ConnectionPoolOptions

__all__ = ["ConnectionPool", "HappybaseDriver", "NoConnectionsAvailable", "PoolDeadlock", "install", "uninstall"]

logger = logging.getLogger("happybase.pool")


class NoConnectionsAvailable(_errors.NoConnectionsAvailable, happybase.NoConnectionsAvailable):
    """No connection within the caller's timeout: fastpool's error, and happybase's."""


class PoolDeadlock(_errors.PoolDeadlock, NoConnectionsAvailable):
    """The caller would have waited for ever: the owner of every lease waits for a connection itself."""


class HappybaseDriver(ThriftDriver):
    """Opens guarded happybase connections; ``connection_kwargs`` are happybase.Connection's.

    ``ssl_context``, ``socket_factory`` and ``transport_factory`` as :class:`ConnectionPool` has them.
    """

    library_connection = happybase.Connection
    exhausted_error = NoConnectionsAvailable
    deadlock_error = PoolDeadlock
    exhausted_message = "No connection available from pool within specified timeout"

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        socket_factory: Callable[[str, int], Any] | None = None,
        transport_factory: Callable[[Any, str, int], Any] | None = None,
        **connection_kwargs: Any,
    ) -> None:
        self.wire = Wire(ssl_context, socket_factory, transport_factory)
        super().__init__(**connection_kwargs)

    def open_entry(self, entry: Entry, server: tuple[str, int] | None, timeout: float | None) -> GuardedConnection:
        """Connect the slot's connection object, the same for the pool's life; TTransportException if that fails."""
        connection = entry.driver_data
        if connection is None:
            connection = entry.driver_data = GuardedConnection(entry, self.wire, **self.connection_kwargs)
        connection.connect(server, timeout)
        return connection

    def ping(self, c: GuardedConnection, timeout: float | None) -> bool:
        """Make a call: the server's read timeout counts calls, and TCP's keepalive does not reset it."""
        c.client.ping(PATIENCE_S if timeout is None else timeout)
        return self.check(c, timeout)

    def reset(self, c: GuardedConnection) -> None:
        """Take back a table prefix, and close the scanners, that the block left."""
        c.clear_prefixes()
        c.client.close_scanners(PATIENCE_S)


class ConnectionPool(PrefixedCore[happybase.Connection], Pool[happybase.Connection]):
    """happybase.ConnectionPool, replaced.

    ``size`` is the most connections open at once. Options of :class:`fastpool.Pool` except ``max_size`` are taken by
    their names, but ``timeout`` is happybase's socket timeout in ms; the pool's own, how many seconds a checkout may
    take, is ``checkout_timeout`` (None: no limit). Everything else goes to happybase.Connection.

    ``ssl_context``: an ssl.SSLContext, for TLS; the server's certificate is checked against ``host`` (or its name in
    ``servers``) if the context says so. ``socket_factory(host, port)`` gives the socket, of thriftpy2's kind, and
    ``transport_factory(socket, host, port)`` the transport around it, instead of what ``transport`` names; both are
    called at each connect, and are not open yet.

    TypeError or ValueError for a bad argument; the first connection is opened here (unless ``open=False``), so
    TTransportException if the server cannot be reached.
    """

    def __init__(
        self,
        size: int,
        *,
        checkout_timeout: float | None = None,
        nested: bool = True,
        **kwargs: Unpack[ConnectionPoolOptions],
    ) -> None:
        size = checked_size(size)
        connection_kwargs: dict[str, Any] = {**kwargs}
        where = kwargs.get("host") or DEFAULT_HOST, kwargs.get("port") or DEFAULT_PORT
        options = options_among(connection_kwargs, size, where)
        driver = HappybaseDriver(**connection_kwargs)
        logger.debug("Initializing connection pool with %d connections", size)
        super().__init__(driver=driver, max_size=size, timeout=checkout_timeout, nested=nested, **options)

    def _least(self) -> int:
        """Open at least one connection with the pool, so that a server that cannot be reached is noticed at once."""
        return max(self.config.min_size, 1)

    def get_connection(
        self,
        block: bool = True,
        timeout: float | EllipsisType | None = ...,
        table_prefix: str | bytes | None = None,
        table_prefix_separator: str | bytes | None = None,
    ) -> happybase.Connection:
        """Check out a connection by hand; return it with :meth:`checkin`, exactly once.

        ``block=False``: what is free now, or a new connection where there is room, else NoConnectionsAvailable at
        once; ``timeout`` has no effect then. ``timeout``: seconds, None meaning no limit; by default the pool's own.
        ``table_prefix`` and its separator hold until the connection is returned. Raises what ``checkout`` raises, and
        TypeError or ValueError for a bad argument.
        """
        limit, prefix = by_hand(block, timeout, table_prefix, table_prefix_separator)
        connection = self.checkout(limit)
        try:
            connection.push_prefix(prefix)
        except BaseException:
            self.checkin(connection, discard=True)
            raise
        return connection

    def _prefixed(self, timeout: Any, text: Any, separator: Any) -> PrefixedLease:
        """The lease that ``connection`` returns when a prefix is given."""
        return PrefixedLease(self, self.connection(timeout), timeout, Prefix(text, separator))

    def table(self, name: str | bytes, **lease_options: Any) -> TableBlock:
        """A checkout and its table in one: ``with pool.table("users") as table:``; options as for ``connection``."""
        return TableBlock(self.connection(**lease_options), name)


_replaced: dict[Any, Any] = {}


def install() -> None:
    """Replace happybase.ConnectionPool and happybase.pool.ConnectionPool, for code that cannot be changed.

    Code that imported the class by name before keeps happybase's. May be called more than once.
    """
    for module in (happybase, happybase.pool):
        if module.ConnectionPool is not ConnectionPool:
            _replaced[module] = module.ConnectionPool
            module.ConnectionPool = ConnectionPool


def uninstall() -> None:
    """Undo :func:`install`, if it was called; pools that exist go on working."""
    for module, original in _replaced.items():
        if module.ConnectionPool is ConnectionPool:
            module.ConnectionPool = original
    _replaced.clear()


ConnectionPool.__module__ = "fastpool"
