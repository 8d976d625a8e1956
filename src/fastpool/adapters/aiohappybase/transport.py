"""The socket under a guarded connection of asyncio: opened within a bound, read when asked, closed without waiting.

It is a plain non-blocking socket, not an asyncio transport: nothing is read between two calls, so the pool's probe of
the descriptor sees what the server sent meanwhile; and it can be closed from any thread, its loop running or not.
"""

# mypy: disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from thriftpy2.transport import TTransportException

from ..._core import loop_of_thread
from ..._core.time_limit import TimeLimit
from ..._servers import server_text
from .._thrift.sockets import (
    FRAME_LENGTH,
    SingleUseSocket,
    frame,
    in_order,
    prepare,
)
from .._thrift.tls import PIECE, Tls

_T = TypeVar("_T")

logger = logging.getLogger("fastpool")


class GuardedSocket(SingleUseSocket):
    """One connection with its read buffer: a transport for thriftpy2's protocols.

    ``where`` is a thriftpy2 TAsyncSocket that is never opened, and only holds the arguments. ``framed``: messages come
    and go in frames.
    """

    def __init__(self, where: Any, framed: bool) -> None:
        super().__init__()
        self._where = where
        self.framed = framed
        self._tls: Tls | None = None
        self._data = b""  # of messages; up to _at it has been consumed
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
                    self._tls = Tls(_context(where.ssl_context), where.server_hostname)
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
        """The bytes that have arrived, at least one; TTransportException(END_OF_FILE) once the server hung up."""
        tls = self._tls
        while True:
            if tls is not None and (plain := tls.decrypt()):
                return plain
            data = await asyncio.get_running_loop().sock_recv(self._open_sock(), PIECE)
            if not data:
                raise TTransportException(TTransportException.END_OF_FILE, "TSocket read 0 bytes")
            if tls is None:
                return data
            tls.receive(data)

    def _in_time(self, work: Callable[..., Coroutine[Any, Any, _T]], *args: Any) -> Coroutine[Any, Any, _T]:
        """Do ``work`` within the socket timeout."""
        return work(*args) if self._limit is None else _limited(self._limit, work(*args))

    def receive(self) -> Coroutine[Any, Any, bytes]:
        """Give the next bytes, at least one, within the socket timeout; TTransportException(END_OF_FILE) at the end."""
        return self._in_time(self._receive)

    def direct(self) -> socket.socket | None:
        """The socket, to send and receive what it can without waiting; None with TLS. TTransportException if closed."""
        return None if self._tls is not None else self._open_sock()

    def arrival(self) -> Coroutine[Any, Any, bytes]:
        """Wait until something has arrived, within the socket timeout.

        It is left in the socket, and b"" is returned, but where the loop can only receive.
        """
        return self._in_time(self._arrival)

    async def _arrival(self) -> bytes:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()
        fd = self._open_sock().fileno()
        try:
            loop.add_reader(fd, _set, readable)
        except NotImplementedError:  # asyncio's loop for Windows
            return await self._receive()
        try:
            await readable
        finally:
            loop.remove_reader(fd)
        return b""

    async def _transmit(self, data: bytes) -> None:
        if self._tls is not None:
            data = self._tls.encrypt(data)
        await asyncio.get_running_loop().sock_sendall(self._open_sock(), data)

    async def _shake_hands(self, tls: Tls) -> None:
        loop = asyncio.get_running_loop()
        while True:
            done = tls.shake_hands()
            if out := tls.to_send():
                await loop.sock_sendall(self._open_sock(), out)
            if done:
                return
            data = await loop.sock_recv(self._open_sock(), PIECE)
            if not data:
                raise ConnectionError(f"{self.address} hung up during the TLS handshake")
            tls.receive(data)

    # ---- messages

    async def send(self, message: bytes) -> None:
        """Send one message, each wait within the socket timeout."""
        await self.transmit(frame(message) if self.framed else message)

    def transmit(self, message: bytes) -> Coroutine[Any, Any, None]:
        """Send what is a message already, in its frame if there are frames."""
        return self._in_time(self._transmit, message)

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
        # The buffer grows with what arrives, never by what a length claims.
        data = self._data[self._at :]
        if not self.framed:
            data = await self._at_least(data, size)
        while len(data) < size:
            raw = await self._at_least(self._raw, 4)
            (length,) = FRAME_LENGTH.unpack_from(raw)
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
            piece = await self.receive()
            pieces.append(piece)
            count += len(piece)
        return b"".join(pieces)

    def unread(self, data: bytes) -> None:
        """Take back what was received for a reply of which nothing was read."""
        if self.framed:
            self._raw = data
        else:
            self._data, self._at = data, 0

    def has_leftover(self) -> bool:
        """Whether the server sent more than was asked for."""
        if self._at < len(self._data) or self._raw:
            return True
        return self._tls is not None and self._tls.has_leftover()

    def quiet(self) -> bool:
        """Whether the connection is open and nothing has arrived unasked; what a TLS server sent by itself is read."""
        sock, tls = self.sock, self._tls
        if sock is None or self.has_leftover():
            return False
        if tls is None:
            return True  # the pool probes the descriptor itself
        return tls.quiet(lambda: sock.recv(PIECE))

    def fileno(self) -> int:
        """Give the descriptor; -1 when closed, and with TLS, whose own records may arrive there at any time."""
        return -1 if self._tls is not None else super().fileno()


async def _limited(limit: float, work: Coroutine[Any, Any, _T]) -> _T:
    async with TimeLimit(limit):
        return await work


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _context(given: ssl.SSLContext | bool) -> ssl.SSLContext:
    """asyncio, and so aiohappybase, takes True for the defaults."""
    return ssl.create_default_context() if isinstance(given, bool) else given


async def _connected(sock: socket.socket, address: Any) -> socket.socket:
    try:
        prepare(sock)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


class ExternalTransport:
    """A transport that fastpool did not make, in the place of a GuardedSocket: HTTP, or that of the user's factory.

    What it buffers between two calls cannot be seen, so only each reply itself is checked. It can be closed only in
    the loop that opened it.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self.address = address

    @property
    def sock(self) -> Any:
        return self._client if self._client is not None and self._client._iprot.trans.is_open() else None

    async def send(self, message: bytes) -> None:
        transport = self._client._oprot.trans
        transport.write(message)
        await transport.flush()

    def has_leftover(self) -> bool:
        return False

    def quiet(self) -> bool:
        return self.sock is not None

    def fileno(self) -> int:
        return -1

    def shut(self) -> None:
        if loop_of_thread() is self._loop:
            client, self._client = self._client, None
            _close_external(client, self.address)
        else:
            self.discard()

    interrupt = shut

    def discard(self) -> None:
        client, self._client = self._client, None
        try:
            self._loop.call_soon_threadsafe(_close_external, client, self.address)
        except RuntimeError:
            pass  # the loop was closed, so the transport can no longer be closed

    def abandon(self) -> None:
        """Leave it open: closing it might send something on the parent's connection."""


def _close_external(client: Any, address: str) -> None:
    try:
        if client is not None:
            client.close()
    except Exception as error:
        logger.warning("close of the transport to %s failed: %r", address, error, exc_info=error)
