"""The happybase.Connection of one slot: the same object for the pool's life, on one guarded client after another."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import happybase
from happybase.util import ensure_bytes
from Hbase_thrift import Hbase  # type: ignore[import-not-found]  # thriftpy2 makes it when happybase is imported
from thriftpy2.transport import TTransportException

from .client import GuardedClient, client_class
from .table import Table
from .transport import GuardedSocket

if TYPE_CHECKING:
    from ..._core import Entry

connection_logger = logging.getLogger("happybase.connection")
pool_logger = logging.getLogger("happybase.pool")

_HbaseClient = client_class(Hbase)


class GuardedConnection(happybase.Connection):
    """A happybase.Connection that belongs to whoever holds the lease of its slot.

    Used by anyone else it raises LeaseError. A call that was interrupted closes its transport; later calls under the
    same lease raise TTransportException(NOT_OPEN) until ``open()`` makes a new one.
    """

    client: GuardedClient

    def __init__(self, entry: Entry, **connection_kwargs: Any) -> None:
        self._entry = entry
        self._initialized = False
        super().__init__(**{**connection_kwargs, "autoconnect": False})

    def _new_client(self) -> GuardedClient:
        sock = GuardedSocket(self.host, self.port, self.timeout, self._closing)
        return _HbaseClient(Hbase, self, self._entry, sock, self._transport_class(sock), self._protocol_class)

    def _install(self, client: GuardedClient) -> None:
        self.client = client
        self.transport = client.transport

    # For the holder of the lease.

    def table(self, name: str | bytes, use_prefix: bool = True) -> Table:
        """Return the table ``name``, for use under this lease only; LeaseError if there is none."""
        epoch = self.check_lease()
        full_name = self._table_name(name) if use_prefix else ensure_bytes(name)
        return Table(full_name, self, self._entry, epoch)

    def open(self) -> None:
        """Connect anew if the transport is closed or unfit; LeaseError, or TTransportException if that fails."""
        if self._entry.renew or not self.client.is_open():
            self._renew()

    def close(self) -> None:
        """Close the transport, which costs the connection its place in the pool; LeaseError for strangers."""
        if self.client.is_open():
            self.check_lease()
            self._log_closing()
            self.client.closed_by_user = True
            self.transport.close()

    def _refresh_thrift_client(self) -> None:
        if self._initialized:
            self._closing()
        client = self._new_client()
        if self._initialized:
            self._exchange(client)
        else:
            self._install(client)

    def __del__(self) -> None:
        if "client" in vars(self):
            self.client.discard()

    def check_lease(self) -> int:
        """The epoch of the caller's lease; LeaseError if there is none."""
        self._entry.begin_call()
        epoch = self._entry.epoch
        self._entry.end_call()
        return epoch

    def _closing(self) -> None:
        self.check_lease()
        self._entry.taint()

    def _log_opening(self) -> None:
        connection_logger.debug("Opening Thrift transport to %s:%d", self.host, self.port)

    def _log_closing(self) -> None:
        connection_logger.debug("Closing Thrift transport to %s:%d", self.host, self.port)

    # A new transport under the same lease.

    def reconnected_client(self, client: GuardedClient) -> GuardedClient:
        """Give the client to call instead of ``client``, whose socket is closed or unfit."""
        if self._entry.renew:
            self._renew()
        elif self.client is client:
            self.check_lease()
            raise TTransportException(
                TTransportException.NOT_OPEN,
                f"the connection to {self.host}:{self.port} was closed, or a call on it failed or was interrupted, "
                "earlier in this very block; leave the block to get another one, or call connection.open()",
            )
        return self.client

    def _renew(self) -> None:
        entry = self._entry
        # As a call, so that nobody calls meanwhile, and two threads do not renew one connection at once.
        entry.begin_call()
        client = self._new_client()
        try:
            if entry.renew:
                pool_logger.info("Replacing tainted pool connection")
            self._log_opening()
            client.open()
            self._exchange(client)
            entry.needs_reset = False
            entry.renewed()
        except BaseException:
            # Tainted as before, and still to be renewed if it was.
            if self.client is not client:
                client.retire()
            entry.end_call()
            raise

    def _exchange(self, client: GuardedClient) -> None:
        old = self.client
        self._install(client)
        old.retire()

    # For the pool, while nobody holds the slot.

    def connect(self, server: tuple[str, int] | None, limit: float | None) -> None:
        """Connect to ``server`` within ``limit`` seconds, on a new client."""
        if server is not None:
            self.host, self.port = server
        client = self._new_client()
        self._log_opening()
        try:
            client.open(limit)
            self._entry.needs_reset = False
            self._install(client)
        except BaseException:
            client.retire()
            raise

    def end(self) -> None:
        """Close the transport, without asking and without waiting."""
        client = self.client
        if client.broken or not (client.is_open() or client.closed_by_user):
            pool_logger.info("Replacing tainted pool connection")
        if client.is_open():
            self._log_closing()
        client.retire()

    def abandon(self) -> None:
        """Give up the descriptor, in a forked child, without a word on the wire."""
        self.client.abandon()
