"""The guard around sockets and transports that factories of the user's made."""

# mypy: disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

from thriftpy2.protocol.binary import TBinaryProtocol as PlainBinaryProtocol
from thriftpy2.protocol.compact import TCompactProtocol
from thriftpy2.transport import TTransportException
from thriftpy2.transport.cybase import CyTransportBase

from ..._servers import server_text
from .transport import GuardedSocket
from .wire import Wire

logger = logging.getLogger("fastpool")

SOCKET = ("open", "close", "read", "write")
TRANSPORT = (*SOCKET, "flush")


def _made(name: str, one: Any, methods: tuple[str, ...]) -> Any:
    missing = [method for method in methods if not callable(getattr(one, method, None))]
    if missing:
        raise TypeError(f"{name} must return an object with {', '.join(methods)}; {one!r} has no {', '.join(missing)}")
    return one


class FactoryTransport:
    """A transport that a factory made, or the socket under it, in the place of a GuardedSocket.

    Its buffers cannot be looked into. After each reply, and before a connection that was idle is handed out, one more
    byte is asked of it without waiting: there must be none. That needs a socket in the attribute ``sock`` of the one
    or the other, as thriftpy2 has it; without (HTTP) only the reply itself is checked.
    """

    def __init__(self, connection: Any, wire: Wire) -> None:
        host, port, timeout_ms = connection.host, connection.port, connection.timeout
        self.address = server_text((host, port))
        self._connection = connection
        self._where = host, port
        self._timeout_ms = timeout_ms
        self._pid = 0
        self._opened = self._over = False
        self._ours: GuardedSocket | None = None
        if wire.socket_factory is None:
            self._ours = GuardedSocket(host, port, timeout_ms, False, connection.closing, wire.ssl_context)
            self._under: Any = self._ours
        else:
            self._under = _made("socket_factory", wire.socket_factory(host, port), SOCKET)
            self._hear_of_close(self._under)
        if wire.transport_factory is None:
            self.transport = connection._transport_class(self._under)
        else:
            self.transport = _made("transport_factory", wire.transport_factory(self._under, host, port), TRANSPORT)
        self._is_open = getattr(self.transport, "is_open", None) or getattr(self.transport, "isOpen", None)

    def protocol(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        """The class of protocols that can read from the transport; ``compiled`` needs one of thriftpy2's compiled."""
        if isinstance(self.transport, CyTransportBase):
            return compiled
        return TCompactProtocol if compiled is TCompactProtocol else PlainBinaryProtocol

    # ---- opening

    def open(self, limit: float | None) -> None:
        """Open the transport within ``limit`` seconds, as far as it can be told; TTransportException if that fails."""
        self._pid = os.getpid()
        if self._ours is not None:
            self._ours.bound_opening(limit)
        else:
            self._bound(limit)
        try:
            self.transport.open()
            self._opened = True
            if self.sock is None:
                raise TTransportException(
                    TTransportException.NOT_OPEN, f"{self.transport!r} to {self.address} is not open after its open()"
                )
        except BaseException as error:
            self.shut()
            if isinstance(error, OSError):
                raise TTransportException(
                    TTransportException.NOT_OPEN, f"Could not connect to {self._where}: {error}"
                ) from error
            raise

    def _bound(self, limit: float | None) -> None:
        """Set the timeouts of a socket like thriftpy2's: happybase's, and for connecting what there is left."""
        if self._timeout_ms:
            self._set_timeout_of(self._under, self._timeout_ms)
        if limit is not None and hasattr(self._under, "connect_timeout"):
            usual = self._under.connect_timeout
            self._under.connect_timeout = limit if usual is None else min(usual, limit)

    def end_opening(self) -> None:
        """From here on only the socket timeout holds: thriftpy2 leaves the connect timeout where there is no other."""
        if self._ours is not None:
            self._ours.end_opening()
        if self._raw is None and self._timeout_ms:
            self._set_timeout_of(self.transport, self._timeout_ms)
        elif hasattr(self._under, "socket_timeout"):
            self.settimeout(self.socket_timeout)

    @staticmethod
    def _set_timeout_of(one: Any, milliseconds: float | None) -> None:
        setter = getattr(one, "set_timeout", None) or getattr(one, "setTimeout", None)
        if setter is not None:
            setter(milliseconds)

    # ---- its state

    @property
    def sock(self) -> Any:
        """The transport, None when it is closed."""
        if self._over or (self._is_open is not None and not self._is_open()):
            return None
        return self.transport

    @property
    def _raw(self) -> Any:
        """The socket of the operating system, None if it cannot be seen."""
        for one in (self._under, self.transport):
            raw = getattr(one, "sock", None)
            if raw is not None and hasattr(raw, "settimeout") and hasattr(raw, "detach"):
                return raw
        return None

    @property
    def socket_timeout(self) -> float | None:
        """Bounds each wait, in seconds."""
        usual = self._timeout_ms / 1000 if self._timeout_ms else None
        return getattr(self._under, "socket_timeout", usual) if self._raw is not None else usual

    def settimeout(self, seconds: float | None) -> None:
        """Bound each wait from now on, if the transport or its socket can."""
        raw = self._raw
        if raw is not None:
            raw.settimeout(seconds)
        else:
            self._set_timeout_of(self.transport, None if seconds is None else seconds * 1000)

    def fileno(self) -> int:
        """Give -1: :meth:`quiet` looks through the transport, and sees what it holds, too."""
        return -1

    def send(self, message: bytes) -> None:
        """Send one message."""
        self.transport.write(message)
        self.transport.flush()

    def has_leftover(self) -> bool:
        """Whether more than one reply has arrived."""
        return self._raw is not None and self._next() is not None

    def quiet(self) -> bool:
        """Whether the transport is open and nothing has arrived unasked."""
        return self.sock is not None and (self._raw is None or self._next() is None)

    def _next(self) -> object:
        """What comes instead of the next byte, or that byte; None: nothing has arrived."""
        if self._ours is not None and self._ours.has_leftover():
            return True
        try:
            with self._without_waiting():
                return self.transport.read(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except (OSError, TTransportException, EOFError) as error:
            return error

    @contextlib.contextmanager
    def _without_waiting(self) -> Iterator[None]:
        raw = self._raw
        raw.settimeout(0)
        try:
            yield
        finally:
            raw.settimeout(self.socket_timeout)

    # ---- the end

    def closing(self) -> None:
        """Before the user closes the connection, which costs it."""
        if self._opened and not self._over:
            self._connection.closing()

    def _hear_of_close(self, under: Any) -> None:
        """Have ``connection.transport.close()``, which closes the socket, cost the connection, as without factories."""
        close = under.close

        def closed() -> None:
            if not self._connection._entry.busy:  # a call that fails may close the socket, and costs it anyway
                self.closing()
            close()

        with contextlib.suppress(AttributeError, TypeError):
            under.close = closed

    def shut(self) -> None:
        """Close without asking and without waiting."""
        if self._over or self._ours is not None:
            self._over = True
            if self._ours is not None:
                self._ours.shut()
            return
        self._end_session()
        self._over = True
        try:
            self.transport.close()
        except Exception as error:
            logger.warning("close of the transport to %s failed: %r", self.address, error, exc_info=error)

    def interrupt(self) -> None:
        """End the connection under a caller that is using it, whose call fails."""
        self._over = True
        if self._ours is not None:
            self._ours.interrupt()
        elif self._raw is not None:
            self._end_session()
        else:
            self.transport.close()

    def _end_session(self) -> None:
        # shutdown() would end the connection for the process that forked this one, too.
        raw = self._raw
        if raw is not None and self._pid == os.getpid():
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)

    def discard(self) -> None:
        """Close, in a finalizer: nothing is sent."""
        self._over = True
        if self._ours is not None:
            self._ours.discard()
        elif self._raw is not None:
            self._raw.close()

    def abandon(self) -> None:
        """Close only the descriptor: nothing is sent, and the connection lives on in the parent process."""
        self._over = True
        if self._ours is not None:
            self._ours.abandon()
        elif self._raw is not None:
            os.close(self._raw.detach())
