"""The transports under the guarded clients: the part that threads and tasks share."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any, Protocol

from thriftpy2.transport import TTransportException

# close() drops what is unsent at once, as thriftpy2 has it: a pool must not wait for a peer that is gone.
_NO_LINGER = struct.pack("ii", 0, 0)

# Precedes each message where messages come and go in frames.
FRAME_LENGTH = struct.Struct("!i")

# A corrupt length makes thriftpy2 ask for up to 2 GB in one read, and recv() allocates all of it beforehand.
LARGEST_READ = 1 << 20


class Transport(Protocol):
    """The transport of a guarded client, for one use: once closed it stays closed."""

    address: str  # where it leads, for messages

    @property
    def sock(self) -> Any: ...
    def fileno(self) -> int: ...
    def shut(self) -> None: ...
    def interrupt(self) -> None: ...
    def discard(self) -> None: ...
    def abandon(self) -> None: ...


def prepare(sock: socket.socket) -> None:
    """Set the options that thriftpy2 sets."""
    if sock.family != getattr(socket, "AF_UNIX", None):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def in_order(found: list[Any]) -> list[Any]:
    """Sort what getaddrinfo() found, IPv4 first: thriftpy2 uses nothing else, and "localhost" must mean the same."""
    return sorted(found, key=lambda info: bool(info[0] != socket.AF_INET))


def frame(message: bytes) -> bytes:
    """The frame of ``message``."""
    return FRAME_LENGTH.pack(len(message)) + message


class SingleUseSocket:
    """One connection, opened once: when closed it stays closed, because buffers above it may hold half a reply."""

    sock: socket.socket | None
    address: str

    def __init__(self) -> None:
        self.sock = None
        self._pid = 0
        self._over = False

    def _begin(self) -> None:
        self._pid = os.getpid()

    def fileno(self) -> int:
        """Give the descriptor, -1 when closed."""
        sock = self.sock
        return -1 if sock is None else sock.fileno()

    def shut(self) -> None:
        """Close without asking and without waiting; wakes a blocked reader."""
        self._over = True
        sock, self.sock = self.sock, None
        if sock is not None:
            self._shutdown(sock)
            sock.close()

    def interrupt(self) -> None:
        """End the connection under a caller that is using it, whose call fails and then closes the descriptor.

        Closing the descriptor here could give its number to the next connection while that caller is about to read.
        """
        self._over = True
        sock = self.sock
        if sock is not None:
            self._shutdown(sock)

    def discard(self) -> None:
        """Close, in a finalizer: nothing is sent and no reader is woken."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()

    def abandon(self) -> None:
        """Close only the descriptor: nothing is sent, and the connection lives on in the parent process."""
        self._over = True
        sock, self.sock = self.sock, None
        if sock is not None:
            os.close(sock.detach())

    def _open_sock(self) -> socket.socket:
        sock = self.sock
        if sock is None:
            raise TTransportException(TTransportException.NOT_OPEN, f"the transport to {self.address} is closed")
        return sock

    def _shutdown(self, sock: socket.socket) -> None:
        # shutdown() would end the connection for the process that forked this one, too; close() ends only this copy.
        if self._pid == os.getpid():
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
