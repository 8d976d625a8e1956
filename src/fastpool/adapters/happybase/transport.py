"""The socket under a guarded Thrift connection: opened within a bound, closed without waiting, never reopened."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from thriftpy2.transport import TSocket, TTransportException

from ..._servers import server_text
from .._thrift.sockets import LARGEST_READ, SingleUseSocket, frame, in_order, prepare


class GuardedSocket(SingleUseSocket, TSocket):
    """One TCP connection, under one of thriftpy2's buffered transports. ``framed``: messages come and go in frames.

    ``on_close`` is called before a close() by the user (``connection.transport.close()``); what it raises prevents
    the close.
    """

    carries_bytes = True  # what its sock sends and receives are the messages themselves

    def __init__(
        self, host: str, port: int, timeout_ms: float | None, framed: bool, on_close: Callable[[], object]
    ) -> None:
        TSocket.__init__(self, host=host, port=port, socket_timeout=timeout_ms)
        SingleUseSocket.__init__(self)
        self.address = server_text((host, port))
        self.framed = framed
        self.channel: Any = None  # holds what arrived for a call that the codec began, before all that is still to come
        self._one_byte = frame(b"\0") if framed else b"\0"
        self._on_close = on_close
        # A canned reply: while it is not None, read() serves these bytes and notes how many were asked for.
        self._canned_reply: bytes | None = None
        self._asked = 0

    def open(self, limit: float | None = None) -> None:
        """Connect within ``limit`` seconds and the socket timeout; TTransportException(NOT_OPEN) if that fails."""
        if self._over or self.sock is not None:
            raise TTransportException(
                TTransportException.ALREADY_OPEN,
                f"the transport to {self.address} was opened before; use connection.open(), which makes "
                "a new one: this one may still hold part of a reply",
            )
        self._begin()
        try:
            self.sock = self._connect(limit)
        except OSError as error:
            raise TTransportException(
                TTransportException.NOT_OPEN, f"Could not connect to {(self.host, self.port)}"
            ) from error

    def _connect(self, limit: float | None) -> socket.socket:
        bounds = [bound for bound in (self.connect_timeout, limit) if bound is not None]
        deadline = time.monotonic() + min(bounds) if bounds else None
        found = in_order(socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise TimeoutError(f"no time left to connect to {self.address}") from failure
            try:
                return self._connected(socket.socket(family, kind, protocol), address, remaining)
            except OSError as error:
                failure = error
        raise failure or OSError(f"{self.host} has no address")

    def _connected(self, sock: socket.socket, address: tuple[object, ...], remaining: float | None) -> socket.socket:
        try:
            prepare(sock)
            sock.settimeout(remaining)
            sock.connect(address)
            # thriftpy2 leaves the connect timeout in force when there is no other; from here on only happybase's holds.
            sock.settimeout(self.socket_timeout)
        except BaseException:
            sock.close()
            raise
        return sock

    # ---- bytes on the wire

    def settimeout(self, seconds: float | None) -> None:
        """Bound each wait from now on; TTransportException(NOT_OPEN) when closed."""
        self._open_sock().settimeout(seconds)

    def close(self) -> None:
        """Close on behalf of the user, which costs the connection; see ``on_close``."""
        if self.sock is not None:
            self._on_close()
            self.shut()

    # ---- messages

    def send(self, message: bytes) -> None:
        """Send one message, each wait within the socket timeout."""
        self._open_sock().sendall(frame(message) if self.framed else message)

    def write(self, buf: bytes) -> None:
        """Send all of ``buf``."""
        self._open_sock().sendall(buf)

    def read(self, sz: int) -> bytes:
        """Give what is there, 1 to ``sz`` bytes; TTransportException(END_OF_FILE) once the server hung up."""
        canned = self._canned_reply
        if canned is not None:
            self._asked = self._asked or sz
            self._canned_reply = canned[sz:]
            if not canned:
                raise TTransportException(TTransportException.END_OF_FILE, "asked for more than the canned reply")
            return canned[:sz]
        if self.channel is not None and self.channel.pending:
            return self.channel.take(sz)
        data: bytes = self._open_sock().recv(sz if sz < LARGEST_READ else LARGEST_READ)
        if not data:
            raise TTransportException(TTransportException.END_OF_FILE, "TSocket read 0 bytes")
        return data

    # Is anything left in the buffers above? They cannot be looked into, but they can be asked for one byte more:
    # an empty buffer asks the socket, for as many bytes as it has room for, and is given a canned reply of one byte.

    def feed_canned_reply(self) -> None:
        """From now on serve a canned reply instead of what the server sends."""
        self._asked = 0
        self._canned_reply = self._one_byte

    def end_canned_reply(self) -> int:
        """Read from the server again; how many bytes the first read asked for, 0 if none came."""
        self._canned_reply = None
        return self._asked
