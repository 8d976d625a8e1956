"""Backends by name, and a test whether the peer of a socket has hung up."""

from __future__ import annotations

import importlib
import select
import socket
import sys
from _socket import socket as plain_socket  # the unpatched class
from types import ModuleType
from typing import Any

from ..._core.compat import eventlets_hub, way_to_gevents_hub

_DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)  # Windows has none


def load_backend(backend_name: str) -> ModuleType:
    """The backend of this name: ``thread``, ``gevent``, ``eventlet``, or the dotted name of a module of your own.

    ImportError if there is none, or if a library it needs is not installed.
    """
    name = backend_name if "." in backend_name else f"{__package__}.backend_{backend_name}"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{backend_name} isn't a socketpool backend: {error}") from error


def is_connected(skt: Any) -> bool:
    """Whether the peer has not hung up. Consumes nothing and does not wait.

    Unread data is no hang-up. socketpool takes the end of the stream for data, so there a peer that has closed counts
    as connected.
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
    """The class of new sockets: the backend's, but a plain one if the other library's hub runs here."""
    if backend_mod is None:
        return socket.socket
    kind = backend_mod.Socket
    library = kind.__module__.partition(".")[0]
    in_gevent = "gevent.hub" in sys.modules and way_to_gevents_hub()() is not None
    in_eventlet = eventlets_hub() is not None
    other_only = {"gevent": in_eventlet and not in_gevent, "eventlet": in_gevent and not in_eventlet}
    return socket.socket if other_only.get(library) else kind
