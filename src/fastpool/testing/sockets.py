"""Socket options, and where operating systems differ in them."""

from __future__ import annotations

import os
import socket
import struct

_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


def reset_on_close(sock: socket.socket) -> None:
    """Send the peer a reset instead of an end when ``sock`` is closed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)


def listen(host: str, port: int, backlog: int | None) -> socket.socket:
    """Return a socket bound to the address, listening unless ``backlog`` is None; OSError if it cannot be had."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere the option lets two listeners share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        if backlog is not None:
            sock.listen(backlog)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
