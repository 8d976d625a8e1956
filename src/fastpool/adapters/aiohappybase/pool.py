"""The drop-in for aiohappybase.ConnectionPool.

::

    async with fastpool.aio.ConnectionPool(size=8, host="hbase-thrift", timeout=5000) as pool:
        async with pool.connection() as connection:
            await connection.table("users").row(b"ann")
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import logging
from collections.abc import Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import idl as _idl  # isort: skip  # before aiohappybase is imported
import aiohappybase

from ... import _errors
from ..._async.pool import AsyncPool
from ..._config import seconds_to_ns
from ..._core import loop_of_thread
from ..._driver import Driver
from ..._keeper.keeper import keeper
from .._thrift.arguments import PATIENCE_S, checked_size, options_among
from .connection import GuardedConnection
from .table import Table

if TYPE_CHECKING:
    from ..._core import Entry, TaskBlock

__all__ = ["AiohappybaseDriver", "ConnectionPool", "NoConnectionsAvailable", "PoolDeadlock"]

assert _idl

logger = logging.getLogger("aiohappybase.pool")


class NoConnectionsAvailable(_errors.NoConnectionsAvailable, aiohappybase.NoConnectionsAvailable):
    """No connection within the time the caller gave: fastpool's error, and aiohappybase's."""


class PoolDeadlock(_errors.PoolDeadlock, NoConnectionsAvailable):
    """The caller could never have got a connection: every lease is held by owners that wait themselves."""


class AiohappybaseDriver(Driver):
    """Opens guarded aiohappybase connections; ``connection_kwargs`` are aiohappybase.Connection's."""

    tracks_calls = True
    exhausted_error = NoConnectionsAvailable
    deadlock_error = PoolDeadlock
    exhausted_message = "Timeout waiting for a connection"

    def __init__(self, **connection_kwargs: Any) -> None:
        # Only for its opinion of the arguments: wrong ones raise here what aiohappybase raises.
        aiohappybase.Connection(**{**connection_kwargs, "autoconnect": False})
        self.connection_kwargs = connection_kwargs

    async def open_entry(
        self, entry: Entry, server: tuple[str, int] | None, timeout: float | None
    ) -> GuardedConnection:
        """Connect; TTransportException if that fails. ``timeout`` is kept by the caller, who cancels this."""
        connection = GuardedConnection(entry, **self.connection_kwargs)
        await connection.connect(server)
        return connection

    def close(self, c: GuardedConnection) -> None:
        """Close the transport of ``c``, at once and from anywhere."""
        c.end()

    def check(self, c: GuardedConnection, timeout: float | None) -> bool:
        """Say whether ``c`` is open and in step, without I/O."""
        return c.client is not None and c.client.in_step()

    async def ping(self, c: GuardedConnection, timeout: float | None) -> bool:
        """Make a call: the server's read timeout counts calls, and TCP's keepalive does not reset it."""
        assert c.client is not None
        await c.client.ping(PATIENCE_S if timeout is None else timeout)
        return self.check(c, timeout)

    def needs_reset(self, c: GuardedConnection) -> bool:
        """Whether the block left scanners open."""
        return c.client is not None and bool(c.client.scanners)

    async def reset(self, c: GuardedConnection) -> None:
        """Close the scanners that the block left open."""
        assert c.client is not None
        await c.client.close_scanners(PATIENCE_S)

    def fileno(self, c: GuardedConnection) -> int:
        """Give the descriptor of the transport in use."""
        return -1 if c.client is None else c.client.fileno()

    def abandon(self, c: GuardedConnection) -> None:
        """Close the descriptor in a forked child, and nothing else: the parent goes on using the connection."""
        c.abandon()


class ConnectionPool(AsyncPool):
    """aiohappybase.ConnectionPool, replaced.

    ``size`` is the most connections open at once. Options of :class:`fastpool.AsyncPool` except ``max_size`` are taken
    by their names, but ``timeout`` is aiohappybase's socket timeout in ms; the pool's own, how many seconds a checkout
    may take, is ``checkout_timeout`` (None: no limit). Everything else goes to aiohappybase.Connection.

    TypeError or ValueError for a bad argument. Nothing is opened here: there may be no loop yet.
    """

    def __init__(self, size: int, *, checkout_timeout: float | None = None, nested: bool = True, **kwargs: Any) -> None:
        size = checked_size(size)
        options = options_among(kwargs, size)
        if options.get("servers") is not None:
            for name in ("unix_socket", "url"):
                if kwargs.get(name):
                    raise ValueError(f"{name}={kwargs[name]!r} cannot be given with servers: both say where to connect")
        driver = AiohappybaseDriver(**kwargs)
        logger.debug(f"Initializing connection pool with {size} connections")
        super().__init__(driver=driver, max_size=size, timeout=checkout_timeout, nested=nested, **options)

    def close(self, timeout: float | None = None) -> Closing:  # type: ignore[override]
        """Close the pool now, as aiohappybase does; idle connections at once, leased ones when their blocks end.

        What it returns may be awaited: then, if ``timeout`` is given, it waits so many seconds for those that are out,
        and takes them away; their blocks end quietly. Without await ``timeout`` means nothing.
        """
        seconds_to_ns("timeout", timeout)
        if self._shut():
            self._retire_idle("closed", 0)
            keeper.forget(self)
            self._tell("pool_closed")
        return Closing(self, timeout)

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


class Closing:
    """The rest of a close(), for those who want to wait for it."""

    __slots__ = ("_pool", "_timeout")

    def __init__(self, pool: ConnectionPool, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout

    def __await__(self) -> Generator[Any, None, None]:
        return AsyncPool.close(self._pool, self._timeout).__await__()


class TableBlock:
    """``async with`` block that holds a lease and gives one table of it."""

    __slots__ = ("_lease", "_name")

    def __init__(self, lease: TaskBlock, name: str | bytes) -> None:
        self._lease = lease
        self._name = name

    async def __aenter__(self) -> Table:
        connection = await self._lease.__aenter__()
        try:
            return connection.table(self._name)
        except BaseException as error:
            await self._lease.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lease.__aexit__(kind, error, trace)


ConnectionPool.__module__ = "fastpool.aio"
