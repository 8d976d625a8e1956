"""The sockets and transports under pycassa's connections, made by factories that a pool may be given."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from thriftpy2.protocol import TBinaryProtocol
from thriftpy2.transport import TFramedTransport, TSocket, TSSLSocket, TTransportException

from .._thrift.made import bound_opening, protocol_for
from .._thrift.sockets import FRAME_LENGTH, LARGEST_READ, frame

LARGEST_FRAME = 1 << 28  # a greater length means that the bytes are no reply


class Socket(TSocket):
    """A thriftpy2 socket that reaches a host at its IPv4 address or, where that fails, at its IPv6 address."""

    def open(self) -> None:
        """Connect; TTransportException if no address of the host accepts."""
        self.socket_family = socket.AF_INET
        try:
            TSocket.open(self)
        except TTransportException as error:
            self.socket_family = socket.AF_INET6
            try:
                TSocket.open(self)
            except TTransportException:
                raise error from error.__context__


class FramedTransport:
    """Thrift's framed transport, which reads a whole reply before it is decoded.

    So a reply that is longer or shorter than its frame is noticed, and the next one is not misread.
    """

    def __init__(self, under: Any) -> None:
        self._under = under
        self._out = bytearray()
        self._reply = _Reply()
        self.frames = TFramedTransport(self._reply)  # what a protocol reads from

    def is_open(self) -> bool:
        """Whether the socket is open."""
        return bool(self._under.is_open())

    isOpen = is_open  # its name in Apache's Thrift, which pycassa uses

    def open(self) -> None:
        """Connect the socket."""
        self._under.open()

    def close(self) -> None:
        """Close the socket."""
        self._under.close()

    def write(self, data: bytes) -> None:
        """Append to the message."""
        self._out += data

    def flush(self) -> None:
        """Send what was written, as one message."""
        message, self._out = bytes(self._out), bytearray()
        self._under.write(frame(message))
        self._under.flush()

    def receive(self) -> None:
        """Wait for a message; TTransportException if the server hangs up or sends no valid message."""
        (length,) = FRAME_LENGTH.unpack(self._exactly(FRAME_LENGTH.size))
        if not 0 < length <= LARGEST_FRAME:
            raise TTransportException(
                TTransportException.UNKNOWN, f"the reply says that it has {length} bytes: it is not Thrift, or is torn"
            )
        self._reply.begin(frame(self._exactly(length)))

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes of the message, or of the next one."""
        try:
            data: bytes = self.frames.read(size)
        except TTransportException:
            self.receive()
            data = self.frames.read(size)
        return data

    def has_leftover(self) -> bool:
        """Whether part of the message was not read."""
        try:
            self.frames.read(1)
        except TTransportException:
            return False
        return True

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            data += self._under.read(min(size - len(data), LARGEST_READ))
        return bytes(data)


class _Reply:
    """Serves the bytes of one message, then raises END_OF_FILE."""

    def __init__(self) -> None:
        self.rest = b""

    def begin(self, message: bytes) -> None:
        self.rest = message

    def read(self, size: int) -> bytes:
        data, self.rest = self.rest[:size], self.rest[size:]
        if not data:
            raise TTransportException(TTransportException.END_OF_FILE, "the reply is shorter than it says")
        return data


class Wire:
    """The transport of one connection for its client, whatever the pool's factories have made; it is opened once."""

    def __init__(self, under: Any, transport: Any, address: str) -> None:
        self.under = under
        self.transport = transport
        self.address = address
        self._pid = os.getpid()
        self._framed: FramedTransport | None = transport if isinstance(transport, FramedTransport) else None
        source = transport if self._framed is None else self._framed.frames
        self.protocol = protocol_for(source, TBinaryProtocol)(source)

    def open(self, limit: float | None) -> None:
        """Connect within ``limit`` seconds, and the socket's own timeout."""
        bound_opening(self.under, None, limit)
        self.transport.open()
        # thriftpy2 leaves the connect timeout in force where there is no other
        self.settimeout(self.socket_timeout)

    @property
    def socket_timeout(self) -> float | None:
        """The seconds that one read or write may take; None: no limit."""
        return getattr(self.under, "socket_timeout", None)

    def settimeout(self, seconds: float | None) -> None:
        """Bound each read and write from now on."""
        sock = self.sock
        if hasattr(sock, "settimeout"):
            sock.settimeout(seconds)

    @property
    def sock(self) -> Any:
        """The socket, or the factory's object if its socket is not accessible; None when closed."""
        if self._framed is None and not self.transport.is_open():
            return None
        sock = getattr(self.under, "sock", self)
        if sock is self:  # its socket is not accessible
            return self.under if self.under.is_open() else None
        return sock

    def fileno(self) -> int:
        """Return the descriptor, -1 when closed or unknown."""
        fileno = getattr(self.sock, "fileno", None)
        return -1 if fileno is None else fileno()

    def send(self, message: bytes) -> None:
        """Send one message."""
        self.transport.write(message)
        self.transport.flush()

    def receive(self) -> None:
        """Wait for the reply."""
        if self._framed is not None:
            self._framed.receive()

    def has_leftover(self) -> bool:
        """Whether part of the reply was not read; for other transports the next checkout finds out."""
        return self._framed is not None and self._framed.has_leftover()

    def shut(self) -> None:
        """Close it."""
        try:
            self.transport.close()
        except Exception:
            pass  # it is not used again

    def interrupt(self) -> None:
        """Shut the connection down while a caller uses it; the call fails, and then closes the descriptor."""
        try:
            if self._pid == os.getpid():  # else it would end the parent's connection, too
                self.sock.shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError):
            pass

    def discard(self) -> None:
        """Close, in a finalizer: nothing is sent, and no reader is woken."""
        try:
            self.sock.close()
        except (AttributeError, OSError):
            pass

    def abandon(self) -> None:
        """Close only the descriptor: nothing is sent, and the connection lives on in the parent process."""
        try:
            os.close(self.sock.detach())
        except (AttributeError, OSError):
            pass


def default_socket_factory(host: str, port: int) -> Socket:
    """Make a connection's socket: one of thriftpy2's, without a timeout of its own."""
    return Socket(host, port, socket_timeout=None)


def default_transport_factory(tsocket: Any, host: str, port: int) -> FramedTransport:
    """Make a connection's transport: framed, as Cassandra requires."""
    return FramedTransport(tsocket)


def make_ssl_socket_factory(ca_certs: str, validate: bool = True) -> Callable[[str, int], TSSLSocket]:
    """Return a ``socket_factory`` for TLS. ``ca_certs``: a file with the certificates of the trusted authorities.

    ``validate=False`` accepts any certificate.
    """

    def ssl_socket_factory(host: str, port: int) -> TSSLSocket:
        return TSSLSocket(host, port, socket_timeout=None, cafile=ca_certs, validate=validate)

    return ssl_socket_factory
