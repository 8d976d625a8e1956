"""Backends by name, and whether the other side of a socket is still there."""

from __future__ import annotations

import importlib
import select
import socket
import sys
from _socket import socket as plain_socket  # as the system has it, whatever is patched
from types import ModuleType
from typing import Any

from ..._core.compat import eventlets_hub, way_to_gevents_hub

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
        plain = plain_socket(fileno=fd)
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


def socket_class(backend_mod: ModuleType | None) -> Any:
    """The class of a new socket: the backend's, but not one library's where the hub of the other runs."""
    if backend_mod is None:
        return socket.socket
    kind = backend_mod.Socket
    library = kind.__module__.partition(".")[0]
    in_gevent = "gevent.hub" in sys.modules and way_to_gevents_hub()() is not None
    in_eventlet = eventlets_hub() is not None
    other_only = {"gevent": in_eventlet and not in_gevent, "eventlet": in_gevent and not in_eventlet}
    return socket.socket if other_only.get(library) else kind
