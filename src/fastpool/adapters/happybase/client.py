"""The guarded Thrift client of threads: a reply goes to the call that asked for it, or the connection is over.

What a call is, and what it costs when something gets in its way, is in :mod:`fastpool.adapters._thrift.call`.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.protocol import TBinaryProtocol, TCompactProtocol
from thriftpy2.thrift import TClient
from thriftpy2.transport import TTransportException

from .._thrift.blocking import BlockingClient
from .._thrift.codec import codec
from .._thrift.compiled import CompiledCalls, operations
from .._thrift.service import Method, class_for
from .factories import FactoryTransport
from .transport import CannedReply, GuardedSocket

if TYPE_CHECKING:
    from ..._core import Entry
    from .._thrift.call import Call


# Whether a protocol is the compact one; those that are not here are thriftpy2's to speak.
_COMPACT: dict[Any, bool] = {TBinaryProtocol: False, TCompactProtocol: True}


class GuardedClient(BlockingClient, CompiledCalls, TClient):
    """A thriftpy2 client on one socket of a slot; :func:`client_class` adds a service's methods.

    Raises LeaseError where nobody may call, TTransportException(NOT_OPEN) after the socket was closed, and
    TApplicationException (BAD_SEQUENCE_ID, WRONG_METHOD_NAME, INVALID_MESSAGE_TYPE) for a reply out of step.
    """

    _connection: Any  # the guarded connection that calls through this client
    _socket: GuardedSocket | FactoryTransport

    def __init__(
        self,
        service: ModuleType,
        connection: Any,
        entry: Entry,
        sock: GuardedSocket | FactoryTransport,
        transport: Any,
        protocol_class: Callable[..., Any],
    ) -> None:
        TClient.__init__(self, service, protocol_class(transport, decode_response=False))
        BlockingClient.__init__(self, connection, entry, sock, functools.partial(protocol_class, decode_response=False))
        self.transport = transport
        self._one_byte = sock.one_byte
        self._buffer_size = self._ask_buffers() or 1
        if isinstance(sock, GuardedSocket):
            self._open_channel(
                operations(service, GuardedClient), _COMPACT.get(protocol_class), sock.framed, sock.direct
            )
            sock.channel = self._channel

    def _req(self, _api: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, _api)(*args, **kwargs)

    def _send(self, _api: str, **kwargs: Any) -> None:
        raise TypeError(f"{_api} cannot be sent without receiving its reply: call client.{_api}(...)")

    def _recv(self, _api: str) -> Any:
        raise TypeError(f"the reply to {_api} cannot be received by itself: call client.{_api}(...)")

    def open(self, limit: float | None = None) -> None:
        """Connect within ``limit`` seconds and the socket timeout."""
        self._socket.open(limit)
        self._socket.end_opening()

    def close(self) -> None:
        """Close on behalf of the user, which costs the connection."""
        self.closed_by_user = True
        self._socket.closing()
        self.transport.close()

    def close_scanners(self, limit: float) -> None:
        """Close the scanners that are still open; no wait is longer than ``limit`` seconds."""
        with self.time_limit(limit):
            for scanner in tuple(self.scanners):
                try:
                    self.scannerClose(scanner)
                except self.declared_errors:
                    continue  # the server does not know the scanner any more: it is closed

    def ping(self, limit: float) -> None:
        """Ask the server something cheap, so that it does not hang up; no wait is longer than ``limit`` seconds."""
        with self.time_limit(limit):
            self.getTableNames()

    def regions(self, table: bytes, limit: float) -> list[Any]:
        """HBase's list of a table's regions; no wait is longer than ``limit`` seconds."""
        with self.time_limit(limit):
            found: list[Any] = self.getTableRegions(table)
        return found

    def in_step(self) -> bool:
        """Whether the connection is open, no call is under way, and nothing has arrived unasked."""
        return super().in_step() and self._socket.quiet()

    def receive_rest(self, method: Method, args: tuple[Any, ...]) -> Call:
        """Read a reply that the channel does not know, from its first byte, and end the call."""
        call = self.resumed_call(method, args)
        self._receive(method, call)
        return call

    def _await_reply(self) -> Any:
        return self._iprot  # reading waits

    def _has_leftover(self) -> bool:
        """Whether the buffers above the socket hold more than the reply that was read."""
        if self._socket.has_leftover() or (self._channel is not None and self._channel.pending):
            return True
        if self._one_byte is None:
            return False
        asked = self._ask_buffers()
        return asked == 0 or asked % self._buffer_size != 0

    def _ask_buffers(self) -> int:
        """How many bytes the buffers have room for, when they have none to give; else 0."""
        if self._one_byte is None:
            return 0
        canned = self._socket.canned = CannedReply(self._one_byte)
        try:
            # Behind the length of a frame that is left over, the canned frame's own length would be read for its byte.
            return canned.asked if self.transport.read(1) == self._one_byte[-1:] else 0
        except (TTransportException, MemoryError):
            # What is left promises a frame of more bytes than the canned reply has, or than there can be.
            return 0
        finally:
            self._socket.canned = None


def _method(service: ModuleType, name: str) -> Callable[..., Any]:
    """Make the client's method ``name``: what thriftpy2's _req, _send and _recv do, in one guarded piece."""
    method = Method(service, name)
    operation = operations(service, GuardedClient).get(name)

    def perform(self: GuardedClient, *args: Any, **kwargs: Any) -> Any:
        if operation is not None and self._channel is not None:
            value = codec.call(self._channel, operation, method.in_order(args, kwargs) if kwargs else args)
            if value is not codec.REFUSED:
                return value
        request = method.request(args, kwargs)
        if not self._can_call():
            return getattr(self._connection.reconnected_client(self), name)(*args, **kwargs)
        return self._make_call(method, request)

    if operation is not None:
        operation.function = perform
    return perform


@functools.cache
def client_class(service: ModuleType) -> type[GuardedClient]:
    """Make the client class for ``service``, a service that thriftpy2 loaded from an IDL."""
    made: type[GuardedClient] = class_for(service, GuardedClient, _method)
    return made
