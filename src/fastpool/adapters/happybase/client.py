"""The guarded Thrift client of threads: a reply goes to the call that asked for it, or the connection is over.

What a call is, and what it costs when something gets in its way, is in :mod:`fastpool.adapters._thrift.call`.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.thrift import TClient
from thriftpy2.transport import TTransportException

from .._thrift.call import Call
from .._thrift.client import BaseClient
from .._thrift.service import Method, class_for
from .factories import FactoryTransport
from .transport import CannedReply, GuardedSocket

if TYPE_CHECKING:
    from ..._core import Entry


class GuardedClient(BaseClient, TClient):
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
        BaseClient.__init__(self, connection, entry, sock, functools.partial(protocol_class, decode_response=False))
        self.transport = transport
        self._one_byte = sock.one_byte
        self._buffer_size = self._ask_buffers() or 1

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
        with self._time_limit(limit):
            for scanner in tuple(self.scanners):
                try:
                    self.scannerClose(scanner)
                except self.declared_errors:
                    continue  # the server does not know the scanner any more: it is closed

    def ping(self, limit: float) -> None:
        """Ask the server something cheap, so that it does not hang up; no wait is longer than ``limit`` seconds."""
        with self._time_limit(limit):
            self.getTableNames()

    def regions(self, table: bytes, limit: float) -> list[Any]:
        """HBase's list of a table's regions; no wait is longer than ``limit`` seconds."""
        with self._time_limit(limit):
            found: list[Any] = self.getTableRegions(table)
        return found

    @contextlib.contextmanager
    def _time_limit(self, limit: float) -> Iterator[None]:
        sock = self._socket
        usual = sock.socket_timeout
        sock.settimeout(limit if usual is None else min(limit, usual))
        yield
        # Not in a finally: what raised above has cost the connection.
        sock.settimeout(usual)

    def in_step(self) -> bool:
        """Whether the connection is open, no call is under way, and nothing has arrived unasked."""
        return super().in_step() and self._socket.quiet()

    def _has_leftover(self) -> bool:
        """Whether the buffers above the socket hold more than the reply that was read."""
        if self._socket.has_leftover():
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
            self.transport.read(1)
            return canned.asked
        except (TTransportException, MemoryError):
            # What is left promises a frame of more bytes than the canned reply has, or than there can be.
            return 0
        finally:
            self._socket.canned = None


def _method(service: ModuleType, name: str) -> Callable[..., Any]:
    """Make the client's method ``name``: what thriftpy2's _req, _send and _recv do, in one guarded piece."""
    method = Method(service, name)

    def perform(self: GuardedClient, *args: Any, **kwargs: Any) -> Any:
        request = method.request(args, kwargs)
        if not self._can_call():
            return getattr(self._connection.reconnected_client(self), name)(*args, **kwargs)
        call = Call(self, method, request)
        try:
            self._socket.send(call.begin())
            reply = None
            if method.has_reply:
                iprot = self._iprot
                reply = call.receive(*iprot.read_message_begin())
                iprot.read_struct(reply)
                iprot.read_message_end()
            call.end(reply)
        except BaseException as error:
            call.fail(error)
            raise
        if call.error is not None:
            raise call.error
        return call.value

    return perform


@functools.cache
def client_class(service: ModuleType) -> type[GuardedClient]:
    """Make the client class for ``service``, a service that thriftpy2 loaded from an IDL."""
    made: type[GuardedClient] = class_for(service, GuardedClient, _method)
    return made
