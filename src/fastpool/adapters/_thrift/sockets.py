"""What the sockets of threads and of tasks have in common."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

# close() drops what is unsent at once, as thriftpy2 has it: a pool must not wait for a peer that is gone.
_NO_LINGER = struct.pack("ii", 0, 0)

# A corrupt length makes thriftpy2 ask for up to 2 GB in one read, and recv() allocates all of it beforehand.
LARGEST_READ = 1 << 20


def prepare(sock: socket.socket) -> None:
    """Set the options that thriftpy2 sets."""
    if sock.family != getattr(socket, "AF_UNIX", None):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def in_order(found: list[Any]) -> list[Any]:
    """What getaddrinfo() gave, IPv4 first: thriftpy2 knows nothing else, so "localhost" means what it meant there."""
    return sorted(found, key=lambda info: bool(info[0] != socket.AF_INET))


class SingleUseSocket:
    """One connection, for one life: what was closed stays closed, as buffers above may hold half a reply."""

    sock: socket.socket | None

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
        """Close without asking and without waiting; wakes whoever is reading."""
        self._over = True
        sock, self.sock = self.sock, None
        if sock is not None:
            self._shutdown(sock)
            sock.close()

    def interrupt(self) -> None:
        """End the connection under somebody who is using it, who then closes the descriptor himself.

        Closing it here could hand the number to the next connection while he is about to read from it.
        """
        self._over = True
        sock = self.sock
        if sock is not None:
            self._shutdown(sock)

    def discard(self) -> None:
        """Close, in a finalizer: nothing is said and nobody is woken."""
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()

    def abandon(self) -> None:
        """Give up the descriptor without a word on the wire."""
        self._over = True
        sock, self.sock = self.sock, None
        if sock is not None:
            os.close(sock.detach())

    def _shutdown(self, sock: socket.socket) -> None:
        # shutdown() ends the connection itself, also for the process that forked this one; close() only our half.
        if self._pid == os.getpid():
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
