"""Connectors: the interface that a connection must have, and two implementations for sockets."""

from __future__ import annotations

import logging
import random
import socket
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from ..._core.compat import gevents_hub
from . import util

logger = logging.getLogger("socketpool")

# How many seconds are left to the checkout that opens a connection; None: no limit.
seconds_left: ContextVar[float | None] = ContextVar("fastpool_socketpool_seconds_left", default=None)

JIGGLE_S = 10.0  # at most so much is added to a connection's age, so that not all expire at once


class Connector:
    """The base class of connections. Override every method; ``handle_exception`` and ``get_lifetime`` are optional."""

    def matches(self, **match_options: Any) -> bool:
        """Whether a request with these options can use this connection. Must not do I/O."""
        raise NotImplementedError

    def is_connected(self) -> bool:
        """Whether it works: called when it is new, before it is handed out, and by ``release_connection``."""
        raise NotImplementedError

    def handle_exception(self, exception: Exception) -> object:
        """Called with an exception that leaves a ``with`` block, before it propagates to the caller."""
        raise NotImplementedError

    def get_lifetime(self) -> float:
        """Return when its lifetime began, on the clock of ``time.time()``; it expires ``max_lifetime`` later."""
        raise NotImplementedError

    def invalidate(self) -> object:
        """Close it for good."""
        raise NotImplementedError


class SocketConnector(Connector):
    """A connection on a stream socket. Subclasses open ``_s`` and say what ``matches``.

    After a call that failed half way, or that left part of a line unread, the connection does not go to another caller:
    the next read would get the rest of this answer.
    """

    _s: Any = None
    _pool: Any = None
    _connected = False
    _broken = False  # a call on it was interrupted
    _unread = b""  # received, and not read yet
    _life = 0.0

    def _begin(self, sock: Any, backend_mod: ModuleType | None, pool: Any) -> None:
        self._s = sock
        self.backend_mod = backend_mod
        self._pool = pool
        self._life = time.time() - _jiggle(pool)
        self._connected = True

    def __del__(self) -> None:
        if self._connected:
            self.invalidate()

    def is_connected(self) -> bool:
        """Whether it is open on both sides, and in step."""
        return self._connected and not self._broken and not self._unread and util.is_connected(self._s)

    def handle_exception(self, exception: Exception) -> None:
        """Log it (logger ``socketpool``)."""
        logger.warning("an exception left a block with %r: %s: %s", self, type(exception).__name__, exception)

    def get_lifetime(self) -> float:
        """When it was opened, less up to ten seconds, or a quarter of its pool's ``max_lifetime``."""
        return self._life

    def invalidate(self) -> None:
        """Close the socket."""
        self._connected = False
        self._life = -1.0
        if self._is_elsewhere():
            socket.close(self._s.detach())  # its close() would defer to a hub that may never run again
        else:
            self._s.close()

    def release(self) -> None:
        """Return it to its pool, as ``pool.release_connection`` does."""
        if self._pool is not None:
            self._pool.release_connection(self)

    # ---- the socket's calls

    @property
    def fileno(self) -> Callable[[], int]:
        """A function that returns the descriptor, -1 once closed. AttributeError if no socket was opened."""
        if self._s is None:
            raise AttributeError(f"{self!r} has no socket")
        # the socket's own method is cheaper, but a green socket may be replaced
        fileno: Callable[[], int] = self._s.fileno if not hasattr(self._s, "hub") else self._descriptor
        return fileno

    def _descriptor(self) -> int:
        return int(self._s.fileno())

    def send(self, data: bytes) -> int:
        """Send some of ``data``; returns how many bytes."""
        return int(self._call(self._socket().send, data))

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._call(self._socket().sendall, data)

    def recv(self, size: int = 1024) -> bytes:
        """Receive 1 to ``size`` bytes, b"" at the end."""
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        return bytes(self._call(self._socket().recv, size))

    def read(self, size: int = -1) -> bytes:
        """Receive ``size`` bytes, or all up to the end; fewer if the end comes first."""
        data = bytearray()
        while size < 0 or len(data) < size:
            part = self.recv(65536 if size < 0 else size - len(data))
            if not part:
                break
            data += part
        return bytes(data)

    def readline(self) -> bytes:
        """Receive a line with its end, or what comes before the end of the stream."""
        data = b""
        while b"\n" not in data:
            part = self.recv(65536)
            if not part:
                return data
            data += part
        line, end, rest = data.partition(b"\n")
        self._unread = rest + self._unread
        return line + end

    def _call(self, function: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return function(argument)
        except BaseException:
            self._broken = True  # also if the caller swallows this: the rest of an answer may still come
            raise

    def _socket(self) -> Any:
        if self._is_elsewhere() and self._connected:
            old = self._s
            self._s = type(old)(old.family, old.type, old.proto, fileno=old.detach())
            self._s.settimeout(old.gettimeout())
        return self._s

    def _is_elsewhere(self) -> bool:
        """Whether the socket is gevent's, and waits in the hub of another thread."""
        hub = getattr(self._s, "hub", None)  # in which it waits; only gevent's sockets have one
        return hub is not None and hub is not gevents_hub()


class TcpConnector(SocketConnector):
    """A TCP connection to ``host`` and ``port``, for requests with the same two. OSError if it cannot be opened."""

    def __init__(self, host: str, port: int, backend_mod: ModuleType | None = None, pool: Any = None) -> None:
        self.host = host
        self.port = port
        families = (socket.AF_INET6,) if ":" in host else (socket.AF_INET, socket.AF_INET6)
        failure: OSError | None = None
        for family in families:
            try:
                return self._begin(_opened(family, (host, port), backend_mod), backend_mod, pool)
            except TimeoutError:
                raise  # the other family would take as long again
            except OSError as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host}:{self.port}>"

    def matches(self, **match_options: Any) -> bool:
        """Whether ``host`` and ``port`` are the same."""
        return match_options.get("host") == self.host and match_options.get("port") == self.port


class UnixConnector(SocketConnector):
    """A connection to the unix socket ``socket_file``, for requests with the same. OSError if it cannot be opened."""

    def __init__(self, socket_file: str, backend_mod: ModuleType | None = None, pool: Any = None) -> None:
        self.socket_file = socket_file
        self._begin(_opened(socket.AF_UNIX, socket_file, backend_mod), backend_mod, pool)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.socket_file}>"

    def matches(self, **match_options: Any) -> bool:
        """Whether ``socket_file`` is the same."""
        return bool(match_options.get("socket_file") == self.socket_file)


def matcher(factory: Any, options: dict[str, Any]) -> Callable[[Any], bool] | None:
    """A cheaper equivalent of ``matches(**options)`` for connectors of ``factory``; None if its class is unknown."""
    matches = getattr(factory, "matches", None)
    if matches is TcpConnector.matches:
        host, port = options.get("host"), options.get("port")
        return lambda c: bool(c.host == host and c.port == port)
    if matches is UnixConnector.matches:
        socket_file = options.get("socket_file")
        return lambda c: bool(c.socket_file == socket_file)
    return None


def _opened(family: int, address: Any, backend_mod: ModuleType | None) -> Any:
    """A connected socket of the backend's kind, within what the checkout has left."""
    sock = util.socket_class(backend_mod)(family, socket.SOCK_STREAM)
    try:
        limit = seconds_left.get()
        if limit is not None:
            sock.settimeout(max(limit, 0.001))
        sock.connect(address)
        if limit is not None:
            sock.settimeout(socket.getdefaulttimeout())
    except BaseException:
        sock.close()
        raise
    return sock


def _jiggle(pool: Any) -> float:
    longest = getattr(pool, "max_lifetime", None)
    return random.uniform(0, JIGGLE_S if longest is None else min(JIGGLE_S, longest / 4))
