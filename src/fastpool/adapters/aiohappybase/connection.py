"""The aiohappybase.Connection of one lease after another, on one guarded client after another."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import TYPE_CHECKING, Any

import aiohappybase
from aiohappybase._util import ensure_bytes
from thriftpy2.contrib.aio.transport import TAsyncBufferedTransportFactory, TAsyncFramedTransportFactory
from thriftpy2.transport import TTransportException

from ..._core import running_task
from ..._errors import LeaseError
from ..._servers import server_text
from .client import ExternalTransport, GuardedClient, client_class
from .table import Table
from .transport import Stream

if TYPE_CHECKING:
    from ..._core import Entry

connection_logger = logging.getLogger("aiohappybase.connection")
pool_logger = logging.getLogger("aiohappybase.pool")


class _Streams:
    """A transport factory whose transports are ours; thriftpy2 works out what the connection's arguments mean."""

    def __init__(self, framed: bool) -> None:
        self._framed = framed

    def get_transport(self, where: Any) -> Stream:
        return Stream(where, self._framed)


class GuardedConnection(aiohappybase.Connection):
    """An aiohappybase.Connection that belongs to the task that holds the lease of its slot.

    Used by a task that held it before and does not now, or when nobody holds it, it raises LeaseError. A call that was
    interrupted closes its transport; later calls under the same lease raise TTransportException(NOT_OPEN) until
    ``await connection.open()`` makes a new one.
    """

    client: GuardedClient | None

    def __init__(self, entry: Entry, **connection_kwargs: Any) -> None:
        self._entry = entry
        self._over = False  # it has left the pool, and another connection may have its slot
        self._holders: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()  # tasks that held it
        self._last_holder: Any = None
        super().__init__(**{**connection_kwargs, "autoconnect": False})

    async def _new_client(self) -> GuardedClient:
        kwargs = dict(self.client_kwargs, host=self.host, port=self.port)
        factory = type(kwargs["trans_factory"])
        if self._client_factory is self.THRIFT_CLIENTS["socket"] and factory in (
            TAsyncBufferedTransportFactory,
            TAsyncFramedTransportFactory,
        ):
            kwargs["trans_factory"] = _Streams(factory is TAsyncFramedTransportFactory)
        made = await self._client_factory(**kwargs)
        transport = made._iprot.trans
        stream = (
            transport if isinstance(transport, Stream) else ExternalTransport(made, server_text((self.host, self.port)))
        )
        service = kwargs["service"]
        return client_class(service)(service, self, self._entry, stream, made._iprot, kwargs["proto_factory"])

    # For the holder of the lease.

    def table(self, name: str | bytes, use_prefix: bool = True) -> Table:
        """Return the table ``name``, for use under this lease only; LeaseError if there is none."""
        epoch = self.check_lease()
        full_name = self._table_name(name) if use_prefix else ensure_bytes(name)
        return Table(full_name, self, self._entry, epoch)

    async def open(self) -> None:
        """Connect anew if the transport is closed or unfit; LeaseError, or TTransportException if that fails."""
        if self._entry.renew or self._over or not self._client.is_open():
            await self._renew()

    def close(self) -> None:
        """Close the transport, which costs the connection its place in the pool; LeaseError for strangers."""
        if self._client.is_open():
            self.check_lease()
            self._log_closing()
            self._client.close()

    def __del__(self) -> None:
        client = vars(self).get("client")
        if client is not None:
            client.discard()

    @property
    def _client(self) -> GuardedClient:
        client = self.client
        assert client is not None, "it is connected before anybody has it"
        return client

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

    def check_lease(self) -> int:
        """The epoch of the caller's lease; LeaseError if there is none."""
        self.check_holder()
        entry = self._entry
        entry.begin_call()
        epoch = entry.epoch
        entry.end_call()
        return epoch

    def closing(self) -> None:
        """Somebody closes the client; LeaseError for strangers, who must not."""
        self.check_lease()
        self._entry.taint()

    def _log_opening(self) -> None:
        connection_logger.debug(f"Opening Thrift transport to {self.host}:{self.port}")

    def _log_closing(self) -> None:
        connection_logger.debug(f"Closing Thrift transport to {self.host}:{self.port}")

    # A new transport under the same lease.

    async def reconnected_client(self, client: GuardedClient) -> GuardedClient:
        """Give the client to call instead of ``client``, whose socket is closed or unfit."""
        self.check_holder()
        if self._entry.renew:
            await self._renew()
        elif self.client is client:
            self.check_lease()
            raise TTransportException(
                TTransportException.NOT_OPEN,
                f"the connection to {client.address} was closed, or a call on it failed or was interrupted, "
                "earlier in this very block; leave the block to get another one, or await connection.open()",
            )
        return self._client

    async def _renew(self) -> None:
        self.check_holder()
        entry = self._entry
        # As a call, so that nobody calls meanwhile, and two tasks do not renew one connection at once.
        entry.begin_call()
        try:
            if entry.renew:
                pool_logger.info("Replacing tainted pool connection")
            self._log_opening()
            client = await self._new_client()
            if self._over:
                client.retire()
                raise TTransportException(
                    TTransportException.NOT_OPEN, "the connection was taken out of the pool while it was opened anew"
                )
            old, self.client = self._client, client
            old.retire()
            entry.needs_reset = False
            entry.renewed()
        except BaseException:
            # Tainted as before, and still to be renewed if it was.
            if not self._over:
                entry.end_call()
            raise

    # For the pool, while nobody holds the slot.

    async def connect(self, server: tuple[str, int] | None) -> None:
        """Connect to ``server``."""
        if server is not None:
            self.host, self.port = server
        self._log_opening()
        self.client = await self._new_client()
        self._entry.needs_reset = False

    def end(self) -> None:
        """Close the transport, without asking and without waiting."""
        self._over = True
        client = self._client
        if client.broken:
            pool_logger.info("Replacing tainted pool connection")
        if client.is_open():
            self._log_closing()
        client.retire()

    def abandon(self) -> None:
        """Give up the descriptor, in a forked child, without a word on the wire."""
        self._over = True
        self._client.abandon()
