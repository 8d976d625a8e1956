"""The socket under a guarded Thrift connection: opened within a bound, closed without waiting, never reopened."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

from thriftpy2.transport import TSocket, TTransportException

from ..._servers import server_text
from .._thrift.sockets import LARGEST_READ, SingleUseSocket, frame, in_order, prepare
from .._thrift.tls import PIECE, Tls


class CannedReply:
    """A reply that a socket serves in place of the server's bytes, to find out whether the buffers above hold anything.

    They cannot be looked into, but they can be asked for one byte more: an empty buffer asks the socket, for as many
    bytes as it has room for, and is given this reply of one byte.
    """

    def __init__(self, one_byte: bytes) -> None:
        self._left = one_byte
        self.asked = 0  # how many bytes the first read asked for, 0 if none came

    def read(self, size: int) -> bytes:
        """Give the next bytes of the reply; TTransportException(END_OF_FILE) behind its end."""
        self.asked = self.asked or size
        given, self._left = self._left[:size], self._left[size:]
        if not given:
            raise TTransportException(TTransportException.END_OF_FILE, "asked for more than the canned reply")
        return given


class GuardedSocket(SingleUseSocket, TSocket):
    """One TCP connection, under one of thriftpy2's buffered transports. ``framed``: messages come and go in frames.

    ``on_close`` is called before a close() by the user (``connection.transport.close()``); what it raises prevents
    the close. ``context``: for TLS.
    """

    def __init__(
        self,
        host: str,
        port: int,
        timeout_ms: float | None,
        framed: bool,
        on_close: Callable[[], object],
        context: ssl.SSLContext | None = None,
    ) -> None:
        TSocket.__init__(self, host=host, port=port, socket_timeout=timeout_ms)
        SingleUseSocket.__init__(self)
        self._context = context
        self._tls: Tls | None = None
        self._deadline: float | None = None  # of what belongs to opening, on the monotonic clock
        self.address = server_text((host, port))
        self._framed = framed
        self.one_byte = frame(b"\0") if framed else b"\0"
        self._on_close = on_close
        self.canned: CannedReply | None = None

    def open(self, limit: float | None = None) -> None:
        """Connect within ``limit`` seconds and the socket timeout; TTransportException(NOT_OPEN) if that fails.

        Until :meth:`end_opening` all waits together have that time: a transport above may still negotiate.
        """
        if self._over or self.sock is not None:
            raise TTransportException(
                TTransportException.ALREADY_OPEN,
                f"the transport to {self.address} was opened before; use connection.open(), which makes "
                "a new one: this one may still hold part of a reply",
            )
        if limit is not None:
            self.bound_opening(limit)
        self._begin()
        try:
            self.sock = self._connect()
            if self._context is not None:
                self._tls = Tls(self._context, self.host)
                self._shake_hands(self._tls)
        except BaseException as error:
            if self.sock is not None:
                self.shut()
            if isinstance(error, OSError):
                why = f": {error}" if isinstance(error, ssl.SSLError) else ""
                raise TTransportException(
                    TTransportException.NOT_OPEN, f"Could not connect to {(self.host, self.port)}{why}"
                ) from error
            raise

    def bound_opening(self, limit: float | None) -> None:
        """Bound what is still to be done before the first call, all told, by ``limit`` seconds; None: no bound."""
        self._deadline = None if limit is None else time.monotonic() + limit

    def end_opening(self) -> None:
        """From here on only the socket timeout holds.

        thriftpy2 leaves the connect timeout in force when there is no other.
        """
        self._deadline = None
        if self.sock is not None:
            self.sock.settimeout(self.socket_timeout)

    def _remaining(self) -> float | None:
        """How long the next step of opening may take; TimeoutError if the time is over."""
        if self._deadline is None:
            return None
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"no time left to connect to {self.address}")
        return remaining

    def _connect(self) -> socket.socket:
        if self.connect_timeout is not None:
            end = time.monotonic() + self.connect_timeout
            self._deadline = end if self._deadline is None else min(end, self._deadline)
        found = in_order(socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM))
        failure: OSError | None = None
        for family, kind, protocol, _, address in found:
            try:
                remaining = self._remaining()
            except TimeoutError as error:
                raise error from failure
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
            sock.settimeout(self.socket_timeout)
        except BaseException:
            sock.close()
            raise
        return sock

    # ---- bytes on the wire

    def _usable(self) -> socket.socket:
        """The socket, whose next wait is bounded; TTransportException(NOT_OPEN) when closed."""
        sock = self._open_sock()
        if self._deadline is not None:
            sock.settimeout(self._remaining())
        return sock

    def _receive(self, most: int) -> bytes:
        data: bytes = self._usable().recv(most)
        if not data:
            raise TTransportException(TTransportException.END_OF_FILE, "TSocket read 0 bytes")
        return data

    def _shake_hands(self, tls: Tls) -> None:
        while True:
            done = tls.shake_hands()
            if out := tls.to_send():
                self._usable().sendall(out)
            if done:
                return
            data = self._usable().recv(PIECE)
            if not data:
                raise ConnectionError(f"{self.address} hung up during the TLS handshake")
            tls.receive(data)

    def settimeout(self, seconds: float | None) -> None:
        """Bound each wait from now on; TTransportException(NOT_OPEN) when closed."""
        self._open_sock().settimeout(seconds)

    def closing(self) -> None:
        """Before :meth:`close`, which itself says that it was asked for."""

    def close(self) -> None:
        """Close on behalf of the user, which costs the connection; see ``on_close``."""
        if self.sock is not None:
            self._on_close()
            self.shut()

    # ---- messages

    def send(self, message: bytes) -> None:
        """Send one message, each wait within the socket timeout."""
        self.write(frame(message) if self._framed else message)

    def write(self, buf: bytes) -> None:
        """Send all of ``buf``."""
        self._usable().sendall(buf if self._tls is None else self._tls.encrypt(buf))

    def read(self, sz: int) -> bytes:
        """Give what is there, 1 to ``sz`` bytes; TTransportException(END_OF_FILE) once the server hung up."""
        if self.canned is not None:
            return self.canned.read(sz)
        most = sz if sz < LARGEST_READ else LARGEST_READ
        tls = self._tls
        if tls is None:
            return self._receive(most)
        while not (data := tls.decrypt(most)):
            tls.receive(self._receive(PIECE))
        return data

    def has_leftover(self) -> bool:
        """Whether TLS holds more than the reply that was read."""
        return self._tls is not None and self._tls.has_leftover()

    def quiet(self) -> bool:
        """Whether the connection is open and nothing has arrived unasked; what a TLS server sent by itself is read.

        Without TLS the pool itself looks at the descriptor.
        """
        sock, tls = self.sock, self._tls
        if sock is None or tls is None:
            return sock is not None
        sock.settimeout(0)
        try:
            return tls.quiet(lambda: sock.recv(PIECE))
        finally:
            sock.settimeout(self.socket_timeout)

    def fileno(self) -> int:
        """Give the descriptor; -1 when closed, and with TLS, whose own records may arrive there at any time."""
        return -1 if self._tls is not None else super().fileno()
