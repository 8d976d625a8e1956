"""The happybase.Connection of one slot: the same object for the pool's life, on one guarded client after another."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import happybase
from happybase.util import ensure_bytes
from Hbase_thrift import Hbase  # type: ignore[import-not-found]  # thriftpy2 makes it when happybase is imported
from thriftpy2.transport import TFramedTransport

from .._thrift.connection import BaseConnection
from .._thrift.made import protocol_for
from .client import GuardedClient, client_class
from .factories import FactoryTransport
from .table import Table
from .transport import GuardedSocket
from .wire import Wire

if TYPE_CHECKING:
    from ..._core import Entry


class GuardedConnection(BaseConnection[Table], happybase.Connection):
    """A happybase.Connection that belongs to the holder of the lease of its slot.

    Used by anyone else it raises LeaseError. A call that was interrupted closes its transport; later calls under the
    same lease raise TTransportException(NOT_OPEN) until ``open()`` makes a new one.
    """

    client: GuardedClient

    _new_table = Table
    _ensure_bytes = staticmethod(ensure_bytes)
    _logger = logging.getLogger("happybase.connection")
    _pool_logger = logging.getLogger("happybase.pool")

    def __init__(self, entry: Entry, wire: Wire | None = None, **connection_kwargs: Any) -> None:
        self._initialized = False
        self._wire = Wire() if wire is None else wire
        super().__init__(entry, **connection_kwargs)

    def _new_client(self) -> GuardedClient:
        if self._wire.has_factories and self._initialized:
            made = FactoryTransport(self, self._wire)
            protocol = protocol_for(made.transport, self._protocol_class)
            return client_class(Hbase)(Hbase, self, self._entry, made, made.transport, protocol)
        framed = self._transport_class is TFramedTransport
        sock = GuardedSocket(self.host, self.port, self.timeout, framed, self.closing, self._wire.ssl_context)
        return client_class(Hbase)(Hbase, self, self._entry, sock, self._transport_class(sock), self._protocol_class)

    # For the holder of the lease.

    def open(self) -> None:
        """Connect anew if the transport is closed or unfit; LeaseError, or TTransportException if that fails."""
        if self._entry.renew or not self.client.is_open():
            self._reconnect()

    def _refresh_thrift_client(self) -> None:
        if self._initialized:
            self.closing()
            self._exchange(self._new_client())
        else:
            self._set_client(self._new_client())

    def _set_client(self, client: GuardedClient) -> None:
        self.client = client
        self.transport = client.transport

    # A new transport under the same lease.

    def reconnected_client(self, client: GuardedClient) -> GuardedClient:
        """Give the client to call instead of ``client``, whose transport is closed or unfit."""
        if self._entry.renew:
            self._reconnect()
        elif self.client is client:
            self._refuse_closed()
        return self.client

    def _reconnect(self) -> None:
        self._begin_reconnect()
        client = None
        try:
            self._log_reconnect()
            client = self._new_client()
            client.open()
            self._end_reconnect(client)
        except BaseException:
            self._fail_reconnect(client)
            raise

    # For the pool, while nobody holds the slot.

    def connect(self, server: tuple[str, int] | None, limit: float | None) -> None:
        """Connect to ``server`` within ``limit`` seconds, on a new client."""
        if server is not None:
            self.host, self.port = server
        self._log_opening()
        client = self._new_client()
        try:
            client.open(limit)
            self._set_client(client)
            self.clear_prefixes()
            self.note_reset()
        except BaseException:
            client.retire()
            raise
