"""Backends by name, and whether the other side of a socket is still there."""

from __future__ import annotations

import importlib
import select
import socket
from types import ModuleType
from typing import Any

_DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)  # Windows has none


def load_backend(backend_name: str) -> ModuleType:
    """The backend of this name: ``thread``, ``gevent``, ``eventlet``, or the dotted name of a module of your own.

    ImportError if there is none, or what it needs is not installed.
    """
    name = backend_name if "." in backend_name else f"{__package__}.backend_{backend_name}"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{backend_name} isn't a socketpool backend: {error}") from error


def is_connected(skt: Any) -> bool:
    """Whether the other side has not hung up; reads nothing, does not wait, and asks the kernel only.

    Data that waits to be read is no hang-up. socketpool takes the end of the stream for data, so a peer that has closed
    counts as connected there.
    """
    try:
        fd = skt.fileno()
        if fd < 0 or (not _DONT_WAIT and not select.select([fd], [], [], 0)[0]):
            return bool(fd >= 0)
        # A plain socket on the same descriptor: a green one would wait for data in its hub.
        plain = socket.socket(fileno=fd)
    except (OSError, ValueError):
        return False
    try:
        return plain.recv(1, socket.MSG_PEEK | _DONT_WAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        plain.detach()
