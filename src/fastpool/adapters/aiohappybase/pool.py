"""The drop-in for aiohappybase.ConnectionPool.

::

    async with fastpool.aio.ConnectionPool(size=8, host="hbase-thrift", timeout=5000) as pool:
        async with pool.connection() as connection:
            await connection.table("users").row(b"ann")
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import logging
from collections.abc import Coroutine, Generator
from types import EllipsisType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import idl as _idl  # isort: skip  # before aiohappybase is imported
import aiohappybase

from ... import _errors
from ..._async.pool import AsyncPool
from ..._core import AwaitingPrefixedCore, loop_of_thread, seconds_to_ns
from ..._keeper.keeper import keeper
from .._thrift.arguments import PATIENCE_S, checked_size, options_among
from .._thrift.driver import ThriftDriver
from .._thrift.prefix import Prefix, by_hand
from .blocks import PrefixedLease, TableBlock
from .connection import GuardedConnection

if TYPE_CHECKING:
    from ..._core import Entry

__all__ = ["AiohappybaseDriver", "ConnectionPool", "NoConnectionsAvailable", "PoolDeadlock"]

assert _idl

logger = logging.getLogger("aiohappybase.pool")


class NoConnectionsAvailable(_errors.NoConnectionsAvailable, aiohappybase.NoConnectionsAvailable):
    """No connection within the caller's timeout: fastpool's error, and aiohappybase's."""


class PoolDeadlock(_errors.PoolDeadlock, NoConnectionsAvailable):
    """The caller would have waited for ever: the owner of every lease waits for a connection itself."""


class AiohappybaseDriver(ThriftDriver):
    """Opens guarded aiohappybase connections; ``connection_kwargs`` are aiohappybase.Connection's."""

    library_connection = aiohappybase.Connection
    exhausted_error = NoConnectionsAvailable
    deadlock_error = PoolDeadlock
    exhausted_message = "Timeout waiting for a connection"

    async def open_entry(
        self, entry: Entry, server: tuple[str, int] | None, timeout: float | None
    ) -> GuardedConnection:
        """Connect; TTransportException if that fails. The caller keeps ``timeout``, by cancelling this."""
        connection = GuardedConnection(entry, **self.connection_kwargs)
        await connection.connect(server)
        return connection

    async def ping(self, c: GuardedConnection, timeout: float | None) -> bool:
        """Make a call: the server's read timeout counts calls, and TCP's keepalive does not reset it."""
        await c.client.ping(PATIENCE_S if timeout is None else timeout)
        return self.check(c, timeout)

    async def reset(self, c: GuardedConnection) -> None:
        """Take back a table prefix, and close the scanners, that the block left."""
        c.clear_prefixes()
        await c.client.close_scanners(PATIENCE_S)


class ConnectionPool(AwaitingPrefixedCore[aiohappybase.Connection], AsyncPool[aiohappybase.Connection]):
    """aiohappybase.ConnectionPool, replaced.

    ``size`` is the most connections open at once. Options of :class:`fastpool.AsyncPool` except ``max_size`` are taken
    by their names, but ``timeout`` is aiohappybase's socket timeout in ms; the pool's own, how many seconds a checkout
    may take, is ``checkout_timeout`` (None: no limit). Everything else goes to aiohappybase.Connection.

    TypeError or ValueError for a bad argument. Nothing is opened here: there may be no loop yet.
    """

    def __init__(self, size: int, *, checkout_timeout: float | None = None, nested: bool = True, **kwargs: Any) -> None:
        size = checked_size(size)
        where = kwargs.get("host") or aiohappybase.DEFAULT_HOST, kwargs.get("port") or aiohappybase.DEFAULT_PORT
        elsewhere = kwargs.get("unix_socket") or kwargs.get("url")
        options = options_among(kwargs, size, None if elsewhere else where)
        if options.get("servers") is not None:
            for name in ("unix_socket", "url"):
                if kwargs.get(name):
                    raise ValueError(f"{name}={kwargs[name]!r} cannot be given with servers: both say where to connect")
        driver = AiohappybaseDriver(**kwargs)
        logger.debug(f"Initializing connection pool with {size} connections")
        super().__init__(driver=driver, max_size=size, timeout=checkout_timeout, nested=nested, **options)

    def close(self, timeout: float | None = None) -> Closing:
        """Close the pool now, as aiohappybase does: idle connections at once, leased ones when their blocks end.

        The result may be awaited: with a ``timeout`` that waits so many seconds at most for leased connections to be
        returned, and then takes away the others; their blocks end quietly. Without await ``timeout`` is unused.
        """
        seconds_to_ns("timeout", timeout)
        if self._shut():
            self._retire_idle("closed", 0)
            keeper.forget(self)
            self._tell("pool_closed")
        return Closing(self, timeout)

    async def get_connection(
        self,
        block: bool = True,
        timeout: float | EllipsisType | None = ...,
        table_prefix: str | bytes | None = None,
        table_prefix_separator: str | bytes | None = None,
    ) -> aiohappybase.Connection:
        """Check out a connection by hand, as :meth:`fastpool.ConnectionPool.get_connection` does."""
        limit, prefix = by_hand(block, timeout, table_prefix, table_prefix_separator)
        connection = await self.checkout(limit)
        try:
            connection.push_prefix(prefix)
        except BaseException:
            self.checkin(connection, discard=True)
            raise
        return connection

    def _aprefixed(self, timeout: Any, text: Any, separator: Any) -> PrefixedLease:
        """The lease that ``connection`` returns when a prefix is given."""
        return PrefixedLease(self, self.connection(timeout), timeout, Prefix(text, separator))

    def table(self, name: str | bytes, **lease_options: Any) -> TableBlock:
        """A checkout and its table in one: ``async with pool.table("users") as t:``; options as for ``connection``."""
        return TableBlock(self.connection(**lease_options), name)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        if loop_of_thread() is not None:
            raise RuntimeError("Use async with inside a running event loop!")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if self.config is not None and not self.closed:
            logger.warning(f"{self} was not closed!")


class Closing(Coroutine[Any, Any, None]):
    """The rest of a close(): a coroutine that may be left alone, too."""

    __slots__ = ("_pool", "_rest", "_timeout")

    def __init__(self, pool: ConnectionPool, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._rest: Coroutine[Any, Any, None] | None = None  # made when it is awaited: else Python warns of it

    def _begun(self) -> Coroutine[Any, Any, None]:
        if self._rest is None:
            self._rest = AsyncPool.close(self._pool, self._timeout)
        return self._rest

    def __await__(self) -> Generator[Any, None, None]:
        return self._begun().__await__()

    def send(self, value: Any) -> Any:
        """Go on to the next thing that is waited for."""
        return self._begun().send(value)

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        """Go on with an exception."""
        return self._begun().throw(kind if value is None else value)

    def close(self) -> None:
        """Stop where it waits; before it has begun there is nothing to stop."""
        if self._rest is not None:
            self._rest.close()


ConnectionPool.__module__ = "fastpool.aio"
