"""The socket under a guarded connection of asyncio: opened within a bound, read when asked, closed without waiting.

It is a plain non-blocking socket, not an asyncio transport: nothing is read while nobody asks, so the pool's look at
the descriptor sees what the server sent meanwhile, and it can be closed from anywhere, its loop running or not.
"""

# mypy: disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import Any

from thriftpy2.transport import TTransportException

from ..._core.time_limit import TimeLimit
from ..._servers import server_text
from .._thrift.sockets import LARGEST_READ, SingleUseSocket, in_order, prepare

_FRAME_LENGTH = struct.Struct("!i")
_PIECE = 1 << 16


class Stream(SingleUseSocket):
    """One connection, and what was read of it and not asked for yet; what thriftpy2's protocols call a transport.

    ``where`` is a thriftpy2 TAsyncSocket that is never opened: it knows what its arguments mean. ``framed``: messages
    come and go in frames.
    """

    def __init__(self, where: Any, framed: bool) -> None:
        super().__init__()
        self._where = where
        self._framed = framed
        self._tls: _Tls | None = None
        self._data = b""  # of messages; what is before _at has been asked for
        self._at = 0
        self._raw = b""  # of frames: what came after the last whole one
        self._limit: float | None = where.socket_timeout  # bounds each wait, in seconds
        self.host = where.host
        self.port = where.port
        self.address = where.unix_socket or server_text((where.host, where.port))

    def is_open(self) -> bool:
        """Whether there is a socket."""
        return self.sock is not None

    async def open(self) -> None:
        """Connect within the connect timeout; TTransportException(NOT_OPEN) if that fails."""
        self._begin()
        where = self._where
        address = where.unix_socket or (self.host, self.port)
        try:
            async with TimeLimit(where.connect_timeout):
                self.sock = await self._connect()
                if where.ssl_context is not None:
                    self._tls = _Tls(where.ssl_context, where.server_hostname)
                    await self._shake_hands(self._tls)
        except BaseException as error:
            self.shut()
            if isinstance(error, OSError):
                raise TTransportException(TTransportException.NOT_OPEN, f"Could not connect to {address}") from error
            raise

    async def _connect(self) -> socket.socket:
        where = self._where
        if where.unix_socket:
            return await _connected(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), where.unix_socket)
        family = socket.AF_UNSPEC if where.socket_family == socket.AF_INET else where.socket_family
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, family=family, type=socket.SOCK_STREAM)
        failure: OSError | None = None
        for kind, style, protocol, _, address in in_order(found):
            try:
                return await _connected(socket.socket(kind, style, protocol), address)
            except OSError as error:
                failure = error
        raise failure or OSError(f"{self.host} has no address")

    # ---- bytes on the wire

    async def _receive(self) -> bytes:
        """What has arrived, at least one byte; TTransportException(END_OF_FILE) once the server hung up."""
        tls = self._tls
        while True:
            if tls is not None and (plain := tls.decrypted()):
                return plain
            data = await asyncio.get_running_loop().sock_recv(self._open_sock(), _PIECE)
            if not data:
                raise TTransportException(TTransportException.END_OF_FILE, "TSocket read 0 bytes")
            if tls is None:
                return data
            tls.incoming.write(data)

    async def _receive_in_time(self) -> bytes:
        if self._limit is None:
            return await self._receive()
        async with TimeLimit(self._limit):
            return await self._receive()

    async def _transmit(self, data: bytes) -> None:
        if self._tls is not None:
            data = self._tls.encrypted(data)
        await asyncio.get_running_loop().sock_sendall(self._open_sock(), data)

    async def _shake_hands(self, tls: _Tls) -> None:
        loop = asyncio.get_running_loop()
        while True:
            done = tls.shake_hands()
            if out := tls.outgoing.read():
                await loop.sock_sendall(self._open_sock(), out)
            if done:
                return
            data = await loop.sock_recv(self._open_sock(), _PIECE)
            if not data:
                raise ConnectionError(f"{self.address} hung up during the TLS handshake")
            tls.incoming.write(data)

    def _open_sock(self) -> socket.socket:
        sock = self.sock
        if sock is None:
            raise TTransportException(TTransportException.NOT_OPEN, f"the transport to {self.address} is closed")
        return sock

    # ---- messages

    async def send(self, message: bytes) -> None:
        """Send one message, each wait within the socket timeout."""
        if self._framed:
            message = _FRAME_LENGTH.pack(len(message)) + message
        if self._limit is None:
            await self._transmit(message)
        else:
            async with TimeLimit(self._limit):
                await self._transmit(message)

    async def read(self, size: int) -> bytes:
        """Give exactly ``size`` bytes of the reply."""
        at = self._at
        end = at + size
        if end > len(self._data) or size < 0:
            await self._fetch(size)
            at, end = 0, size
        self._at = end
        return self._data[at:end]

    async def _fetch(self, size: int) -> None:
        """Have ``size`` bytes at hand, the first of them at 0."""
        if size < 0:
            raise TTransportException(TTransportException.UNKNOWN, f"a reply claims to have {size} bytes")
        # Nothing is allocated because a length says so.
        data = self._data[self._at :]
        if not self._framed:
            data = await self._at_least(data, size)
        while len(data) < size:
            raw = await self._at_least(self._raw, 4)
            (length,) = _FRAME_LENGTH.unpack_from(raw)
            if length < 0:
                raise TTransportException(TTransportException.UNKNOWN, f"a frame claims to have {length} bytes")
            raw = await self._at_least(raw[4:], length)
            data += raw[:length]
            self._raw = raw[length:]
        self._data, self._at = data, 0

    async def _at_least(self, have: bytes, size: int) -> bytes:
        if len(have) >= size:
            return have
        pieces, count = [have], len(have)
        while count < size:
            piece = await self._receive_in_time()
            pieces.append(piece)
            count += len(piece)
        return b"".join(pieces)

    def leftover(self) -> bool:
        """Whether the server sent more than was asked for."""
        if self._at < len(self._data) or self._raw:
            return True
        try:
            return self._tls is not None and self._tls.unasked()
        except TTransportException:
            return False  # it said goodbye, which is no reply: quiet() will notice, or whoever reads on
        except ssl.SSLError:
            return True

    def quiet(self) -> bool:
        """Whether the connection is open and nothing has arrived unasked; reads nothing that somebody would miss."""
        sock, tls = self.sock, self._tls
        if sock is None or self.leftover():
            return False
        if tls is None:
            return True  # the pool looks at the descriptor itself
        try:
            data = sock.recv(LARGEST_READ)
            if not data:
                return False
            tls.incoming.write(data)
        except BlockingIOError:
            pass
        except OSError:
            return False
        try:
            return not tls.decrypted()  # what a TLS server sends by itself, a session's ticket, is no reply
        except (TTransportException, ssl.SSLError):
            return False

    def fileno(self) -> int:
        """Give the descriptor, -1 when closed, and with TLS: what arrives there may be TLS's own."""
        return -1 if self._tls is not None else super().fileno()


async def _connected(sock: socket.socket, address: Any) -> socket.socket:
    try:
        prepare(sock)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


class _Tls:
    """The two directions of a TLS connection, in memory."""

    def __init__(self, context: ssl.SSLContext | bool, hostname: str | None) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        if isinstance(context, bool):  # asyncio, and so aiohappybase, takes True for the defaults
            context = ssl.create_default_context()
        self._object = context.wrap_bio(self.incoming, self.outgoing, server_hostname=hostname)

    def shake_hands(self) -> bool:
        """Go on with the handshake as far as possible; whether it is done."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypted(self, data: bytes) -> bytes:
        self._object.write(data)
        return self.outgoing.read()

    def decrypted(self) -> bytes:
        """What of the peer's data has arrived; empty if nothing has. TTransportException once the peer said goodbye."""
        try:
            if data := self._object.read(_PIECE):
                return data
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            pass
        # The socket may stay open after a goodbye: many servers wait until the other side says it, too.
        raise TTransportException(TTransportException.END_OF_FILE, "TSocket read 0 bytes")

    def unasked(self) -> bool:
        """Whether data that nobody asked for has arrived, also in records that nobody has opened yet."""
        return bool((self._object.pending() or self.incoming.pending) and self.decrypted())
