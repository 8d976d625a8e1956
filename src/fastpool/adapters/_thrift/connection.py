"""The part of a guarded connection that threads and tasks share: whose it is, and when it is replaced, without I/O."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from thriftpy2.transport import TTransportException

from .prefix import PrefixedConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._core import Entry

TableT = TypeVar("TableT")


class BaseConnection(PrefixedConnection, Generic[TableT]):
    """Mixed into a library's Connection; its subclasses open clients."""

    client: Any
    host: Any
    port: Any

    _new_table: Callable[[bytes, Any, Entry, int], TableT]
    _table_name: Callable[[str | bytes], bytes]
    _ensure_bytes: Callable[[str | bytes], bytes]
    # Told of each error that the server replies with; it must neither wait nor raise.
    on_error: Callable[[BaseException], object] | None = None
    _logger: logging.Logger
    _pool_logger: logging.Logger

    def __init__(self, entry: Entry, **connection_kwargs: Any) -> None:
        self._entry = entry
        self._over = False  # it has left the pool, and another connection may have its slot
        super().__init__(**{**connection_kwargs, "autoconnect": False})
        self._begin_prefixes()

    # For the holder of the lease.

    def table(self, name: str | bytes, use_prefix: bool = True) -> TableT:
        """Return the table ``name``, for use under this lease only; LeaseError if there is none."""
        epoch = self.check_lease()
        full_name = self._table_name(name) if use_prefix else self._ensure_bytes(name)
        return self._new_table(full_name, self, self._entry, epoch)

    def close(self) -> None:
        """Close the transport, which costs the connection its place in the pool; LeaseError without a lease."""
        if self.client.is_open():
            self.check_lease()
            self._log_closing()
            self.client.close()

    def check_holder(self) -> None:
        """LeaseError if the caller held this connection before and does not now, where the entry cannot know that."""

    def note_error(self, error: BaseException) -> None:
        """Note an error that the server replied with."""
        if self.on_error is not None:
            self.on_error(error)

    def check_lease(self) -> int:
        """The epoch of the caller's lease; LeaseError if there is none."""
        self.check_holder()
        entry = self._entry
        entry.begin_call()
        epoch = entry.epoch
        entry.end_call()
        return epoch

    def closing(self) -> None:
        """Before the user closes the transport, which costs the connection; LeaseError without a lease."""
        self.check_lease()
        self._entry.taint()

    def __del__(self) -> None:
        client = vars(self).get("client")
        if client is not None:
            client.discard()

    def _log_opening(self) -> None:
        self._logger.debug("Opening Thrift transport to %s:%s", self.host, self.port)

    def _log_closing(self) -> None:
        self._logger.debug("Closing Thrift transport to %s:%s", self.host, self.port)

    # A new transport under the same lease.

    def _begin_reconnect(self) -> None:
        """Begin a call, so that nobody calls or reconnects meanwhile."""
        self.check_holder()
        self._entry.begin_call()

    def _log_reconnect(self) -> None:
        if self._entry.renew:
            self._pool_logger.info("Replacing tainted pool connection")
        self._log_opening()

    def _end_reconnect(self, client: Any) -> None:
        """Use ``client``, which is open, from now on."""
        if self._over:
            raise TTransportException(
                TTransportException.NOT_OPEN, "the connection was taken out of the pool while it was opened anew"
            )
        self._exchange(client)
        self.note_reset()
        self._entry.renewed()

    def _fail_reconnect(self, client: Any) -> None:
        """Keep the old client, tainted as before; ``client`` is None if none was made."""
        if client is not None and self.client is not client:
            client.retire()
        if not self._over:
            self._entry.end_call()

    def _exchange(self, client: Any) -> None:
        old = self.client
        self._set_client(client)
        old.retire()

    def _set_client(self, client: Any) -> None:
        self.client = client

    def _refuse_closed(self) -> NoReturn:
        """Raise for a call on a client that is closed, and that only open() replaces."""
        self.check_lease()
        raise TTransportException(
            TTransportException.NOT_OPEN,
            f"the connection to {self.client.address} was closed, or a call on it failed or was interrupted, earlier "
            "in this very block; leave the block to get another one, or open this one anew with connection.open()",
        )

    # For the pool, while nobody holds the slot.

    def end(self) -> None:
        """Close the transport, without asking and without waiting."""
        client = self.client
        if client.broken or not (client.is_open() or client.closed_by_user):
            self._pool_logger.info("Replacing tainted pool connection")
        if client.is_open():
            self._log_closing()
        client.retire()

    def abandon(self) -> None:
        """Close only the descriptor, in a forked child: the parent goes on using the connection."""
        self.client.abandon()
