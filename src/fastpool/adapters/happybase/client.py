"""The guarded Thrift client: a reply goes to the call that asked for it, or the connection is over.

A call is *begun* on the entry of the slot before a byte of it is sent and *ended* after the whole reply was read. In
between, anything that gets in the way, from a timeout to a signal handler that raises between two bytecodes, closes
the socket and taints the entry; if even that is interrupted the entry stays busy. Nothing is ever repaired by reading
on: what a server might still send is lost with its socket.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from thriftpy2.thrift import TApplicationException, TClient, TMessageType
from thriftpy2.transport import TFramedTransport, TMemoryBuffer, TTransportException

from .._thrift.call import ENCODING, LAST_SEQUENCE_ID, SENT, Guard, Method, class_for
from .transport import GuardedSocket

if TYPE_CHECKING:
    from ..._core import Entry
    from .connection import GuardedConnection

_FRAME_LENGTH = struct.Struct("!i")

# The canned reply for each transport: one byte, and one byte in a frame.
_ONE_BYTE = b"\0"
_ONE_BYTE_FRAMED = b"\0\0\0\1\0"


class GuardedClient(Guard, TClient):
    """A thriftpy2 client on one socket of a slot; :func:`client_class` adds a service's methods.

    Raises LeaseError where nobody may call, TTransportException(NOT_OPEN) after the socket was closed, and
    TApplicationException (BAD_SEQUENCE_ID, WRONG_METHOD_NAME, INVALID_MESSAGE_TYPE) for a reply out of step.
    """

    declared_errors: tuple[type[BaseException], ...] = ()

    def __init__(
        self,
        service: ModuleType,
        connection: GuardedConnection,
        entry: Entry,
        sock: GuardedSocket,
        transport: Any,
        protocol_class: Callable[..., Any],
    ) -> None:
        Guard.__init__(self)
        TClient.__init__(self, service, protocol_class(transport, decode_response=False))
        self.transport = transport
        self._connection = connection
        self._entry = entry
        self._socket = sock
        self._framed = isinstance(transport, TFramedTransport)
        self._protocol_class = protocol_class
        # A message is put together here and sent whole, so that an argument that cannot be encoded costs nothing.
        self._memory: Any = TMemoryBuffer()
        self._renew_output()
        # Ids begin anywhere, so that a reply that strayed from another connection does not fit either.
        self._seqid = random.getrandbits(30)
        self._one_byte = _ONE_BYTE_FRAMED if self._framed else _ONE_BYTE
        self._buffer_size = 1
        self._buffer_size = self._ask_buffers() or 1

    def _renew_output(self) -> None:
        # A compact protocol that failed half-way remembers how deep it was, so it is made anew.
        self._oprot = self._protocol_class(self._memory, decode_response=False)

    def _req(self, _api: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, _api)(*args, **kwargs)

    def _send(self, _api: str, **kwargs: Any) -> None:
        raise TypeError(f"{_api} cannot be sent without receiving its reply: call client.{_api}(...)")

    def _recv(self, _api: str) -> Any:
        raise TypeError(f"the reply to {_api} cannot be received by itself: call client.{_api}(...)")

    def open(self, limit: float | None = None) -> None:
        """Connect within ``limit`` seconds and the socket timeout."""
        self._socket.open(limit)

    def close_scanners(self, limit: float) -> None:
        """Close the scanners that are still open; no wait is longer than ``limit`` seconds."""
        with self._time_limit(limit):
            for scanner in tuple(self.scanners):
                try:
                    self.scannerClose(scanner)
                except self.declared_errors:
                    # The server does not know it any more, which is what was wanted.
                    continue

    def ping(self, limit: float) -> None:
        """Ask the server something cheap, so that it does not hang up; no wait is longer than ``limit`` seconds."""
        with self._time_limit(limit):
            self.getTableNames()

    @contextlib.contextmanager
    def _time_limit(self, limit: float) -> Iterator[None]:
        sock = self._socket
        usual = sock.socket_timeout
        sock.settimeout(limit if usual is None else min(limit, usual))
        yield
        # Not in a finally: what raised above has cost the connection.
        sock.settimeout(usual)

    def is_idle(self) -> bool:
        """Whether nothing that a server sent is left in the buffers above the socket."""
        asked = self._ask_buffers()
        return asked > 0 and asked % self._buffer_size == 0

    def _ask_buffers(self) -> int:
        """How many bytes the buffers have room for, when they have none to give; else 0."""
        self._socket.feed_canned_reply(self._one_byte)
        try:
            self.transport.read(1)
        except (TTransportException, MemoryError):
            # What is left promises a frame of more bytes than the canned reply has, or than there can be.
            self._socket.end_canned_reply()
            return 0
        return self._socket.end_canned_reply()

    def _refuse(self, name: str, seqid: int, got_name: Any, got_type: int, got_seqid: int) -> None:
        """Raise for a message that is not the reply to ``name``; return if it is, in the protocol's other spelling."""
        failure: TApplicationException | None = None
        if got_type == TMessageType.EXCEPTION:
            failure = TApplicationException()
            failure.read(self._iprot)
            self._iprot.read_message_end()
        self._out_of_step(name, seqid, got_name, got_type, got_seqid, failure)


def _guarded(service: ModuleType, name: str) -> Callable[..., Any]:
    """Make the client's method ``name``: what thriftpy2's _req, _send and _recv do, in one guarded piece."""
    method = Method(service, name)
    args_class, positional, result_class = method.args_class, method.positional, method.result_class
    oneway, message_type, changes_scanners = method.oneway, method.message_type, method.changes_scanners
    reply_type = TMessageType.REPLY
    frame_length = _FRAME_LENGTH.pack

    def call(self: GuardedClient, *args: Any, **kwargs: Any) -> Any:
        request = method.request(args, kwargs) if kwargs or len(args) > positional else args_class(*args)
        sock = self._socket
        entry = self._entry
        if sock.sock is None or entry.renew:
            return getattr(self._connection.reconnected_client(self), name)(*args, **kwargs)
        begun = False
        try:
            entry.begin_call()
            begun = True
            self._stage = ENCODING
            self._seqid = seqid = (self._seqid + 1) & LAST_SEQUENCE_ID
            oprot = self._oprot
            memory = self._memory
            memory.setvalue(b"")
            oprot.write_message_begin(name, message_type, seqid)
            oprot.write_struct(request)
            oprot.write_message_end()
            message = memory.getvalue()
            self._stage = SENT
            sock.write(frame_length(len(message)) + message if self._framed else message)
            value = error = None
            if not oneway:
                iprot = self._iprot
                got_name, got_type, got_seqid = iprot.read_message_begin()
                if got_seqid != seqid or got_name != name or got_type != reply_type:
                    self._refuse(name, seqid, got_name, got_type, got_seqid)
                result = result_class()
                iprot.read_struct(result)
                iprot.read_message_end()
                value, error = method.outcome(result)
                if changes_scanners:
                    self._account(method, request, value)
                if not self.is_idle():
                    # The reply is good, but there is more than the reply: whatever it is, nobody asked for it.
                    self._break(desync=True)
            self._ended(name)
        except BaseException as reason:
            self._failed(reason, begun)
            raise
        if error is not None:
            raise error
        return value

    return call


def client_class(service: ModuleType) -> type[GuardedClient]:
    """Make the client class for ``service``, a service that thriftpy2 loaded from an IDL."""
    made: type[GuardedClient] = class_for(service, GuardedClient, _guarded)
    return made
