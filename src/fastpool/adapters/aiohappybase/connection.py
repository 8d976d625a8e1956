"""The aiohappybase.Connection of one connection of a slot, on one guarded client after another."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import TYPE_CHECKING, Any

import aiohappybase
from aiohappybase._util import ensure_bytes
from thriftpy2.contrib.aio.transport import TAsyncBufferedTransportFactory, TAsyncFramedTransportFactory

from ..._core import running_task
from ..._errors import LeaseError
from ..._servers import server_text
from .._thrift.connection import BaseConnection
from .client import GuardedClient, client_class
from .table import Table
from .transport import ExternalTransport, GuardedSocket

if TYPE_CHECKING:
    from ..._core import Entry


class GuardedConnection(BaseConnection[Table], aiohappybase.Connection):
    """An aiohappybase.Connection that belongs to the task that holds the lease of its slot.

    Used by a task whose lease of it is over, or when nobody holds it, it raises LeaseError. A call that was
    interrupted closes its transport; later calls under the same lease raise TTransportException(NOT_OPEN) until
    ``await connection.open()`` makes a new one.
    """

    client: GuardedClient

    _new_table = Table
    _ensure_bytes = staticmethod(ensure_bytes)
    _logger = logging.getLogger("aiohappybase.connection")
    _pool_logger = logging.getLogger("aiohappybase.pool")

    def __init__(self, entry: Entry, **connection_kwargs: Any) -> None:
        self._holders: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()  # tasks that held it
        self._last_holder: Any = None
        super().__init__(entry, **connection_kwargs)

    async def _new_client(self) -> GuardedClient:
        kwargs = dict(self.client_kwargs, host=self.host, port=self.port)
        factory = type(kwargs["trans_factory"])
        if self._client_factory is self.THRIFT_CLIENTS["socket"] and factory in (
            TAsyncBufferedTransportFactory,
            TAsyncFramedTransportFactory,
        ):
            kwargs["trans_factory"] = _SocketFactory(factory is TAsyncFramedTransportFactory)
        made = await self._client_factory(**kwargs)
        sock = made._iprot.trans
        if not isinstance(sock, GuardedSocket):
            sock = ExternalTransport(made, server_text((self.host, self.port)))
        service = kwargs["service"]
        return client_class(service)(service, self, self._entry, sock, made._iprot, kwargs["proto_factory"])

    # For the holder of the lease.

    async def open(self) -> None:
        """Connect anew if the transport is closed or unfit; LeaseError, or TTransportException if that fails."""
        if self._entry.renew or self._over or not self.client.is_open():
            await self._reconnect()

    def check_holder(self) -> None:
        """LeaseError if the running task held this connection before and does not now, or if it left the pool."""
        entry = self._entry
        if self._over:
            raise LeaseError(
                f"use after return of connection {entry.index}: it was closed and replaced; "
                "use a connection, and what was made from it, only inside its own `async with pool.connection()` block"
            )
        reference = entry.task
        holder = None if reference is None else reference()
        if reference is not self._last_holder:
            self._last_holder = reference
            if holder is not None:
                self._holders.add(holder)
        task = running_task()
        if task is not holder and task is not None and task in self._holders:
            raise LeaseError(
                f"use after return of connection {entry.index}: this task's lease on it is over and another task holds "
                "it now; use a connection, and what was made from it, only inside its own `async with "
                "pool.connection()` block"
            )

    # A new transport under the same lease.

    async def reconnected_client(self, client: GuardedClient) -> GuardedClient:
        """Give the client to call instead of ``client``, whose transport is closed or unfit."""
        self.check_holder()
        if self._entry.renew:
            await self._reconnect()
        elif self.client is client:
            self._refuse_closed()
        return self.client

    async def _reconnect(self) -> None:
        self._begin_reconnect()
        client = None
        try:
            self._log_reconnect()
            client = await self._new_client()
            self._end_reconnect(client)
        except BaseException:
            self._fail_reconnect(client)
            raise

    # For the pool, while nobody holds the slot.

    async def connect(self, server: tuple[str, int] | None) -> None:
        """Connect to ``server``."""
        if server is not None:
            self.host, self.port = server
        self._log_opening()
        self._set_client(await self._new_client())
        self.note_reset()

    def end(self) -> None:
        """Close the transport, without asking and without waiting."""
        self._over = True
        super().end()

    def abandon(self) -> None:
        """Close only the descriptor, in a forked child: the parent goes on using the connection."""
        self._over = True
        super().abandon()


class _SocketFactory:
    """A transport factory that makes GuardedSockets; thriftpy2 interprets the connection's arguments."""

    def __init__(self, framed: bool) -> None:
        self._framed = framed

    def get_transport(self, where: Any) -> GuardedSocket:
        return GuardedSocket(where, self._framed)
