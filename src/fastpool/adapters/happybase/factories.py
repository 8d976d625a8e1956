"""The guard around sockets and transports that the user's factories made."""

# mypy: disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from thriftpy2.transport import TTransportException

from ..._servers import server_text
from .._thrift.made import bound_opening, set_timeout
from .heard import SOCKET, TRANSPORT, Heard, made_by, one_byte_for
from .transport import CannedReply, GuardedSocket
from .wire import Wire

logger = logging.getLogger("fastpool")


class FactoryTransport:
    """Stands in for a GuardedSocket where a factory made the transport, or the socket under it.

    Its buffers cannot be inspected, unless they are thriftpy2's. After each reply, and before an idle connection is
    handed out, one more byte is read without waiting: there must be none. That needs a socket in the attribute ``sock``
    of the transport or the socket object, as in thriftpy2; without one (HTTP) only the reply itself is checked.
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
            self._under = made_by("socket_factory", wire.socket_factory(host, port), SOCKET)
        own = self._ours is not None  # a GuardedSocket handles open and close itself
        self._heard = Heard(self._under, {} if own else {"open": self._before_open, "close": self._before_close})
        if wire.transport_factory is None:
            self.transport = connection._transport_class(self._under)
        else:
            self.transport = made_by("transport_factory", wire.transport_factory(self._under, host, port), TRANSPORT)
        self.one_byte = one_byte_for(self.transport)
        self._is_open = getattr(self.transport, "is_open", None) or getattr(self.transport, "isOpen", None)

    def _before_close(self) -> None:
        if self._is_inherited:
            self.abandon()  # the socket's own close would end the connection for the parent process, too
        elif not self._connection._entry.busy:  # a failing call may close the socket; it costs the connection anyway
            self.closing()

    def _before_open(self) -> None:
        if self._opened:
            raise TTransportException(
                TTransportException.ALREADY_OPEN,
                f"the transport to {self.address} was opened before; use connection.open(), which makes a new one",
            )

    # ---- opening

    def open(self, limit: float | None) -> None:
        """Open the transport, within ``limit`` seconds if its socket takes a limit; TTransportException on failure."""
        self._pid = os.getpid()
        if self._ours is not None:
            self._ours.bound_opening(limit)
        else:
            bound_opening(self._under, self._timeout_ms, limit)
        try:
            try:
                if self._is_open is None or not self._is_open():
                    self.transport.open()
            finally:
                if self._ours is not None and self._ours.sock is None:
                    self._ours = None  # a transport that connects by itself
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

    def end_opening(self) -> None:
        """Apply the socket timeout from now on: thriftpy2 keeps the connect timeout in force if there is no other."""
        if self._ours is not None:
            self._ours.end_opening()
        if self._raw is None and self._timeout_ms:
            set_timeout(self.transport, self._timeout_ms)
        elif hasattr(self._under, "socket_timeout"):
            self.settimeout(self.socket_timeout)

    # ---- its state

    @property
    def canned(self) -> CannedReply | None:
        """The reply that the socket serves to a read in place of the server's bytes; None: none."""
        return self._heard.canned

    @canned.setter
    def canned(self, reply: CannedReply | None) -> None:
        self._heard.canned = reply

    @property
    def sock(self) -> Any:
        """The transport, None when it is closed."""
        if self._over or (self._is_open is not None and not self._is_open()):
            return None
        return self.transport

    @property
    def _raw(self) -> Any:
        """The socket of the operating system, None if it is not accessible."""
        for one in (self._under, self.transport):
            raw = getattr(one, "sock", None)
            if raw is not None and hasattr(raw, "settimeout") and hasattr(raw, "detach"):
                return raw
        return None

    @property
    def socket_timeout(self) -> float | None:
        """The limit of each wait, in seconds; None: no limit."""
        usual = self._timeout_ms / 1000 if self._timeout_ms else None
        return getattr(self._under, "socket_timeout", usual) if self._raw is not None else usual

    def settimeout(self, seconds: float | None) -> None:
        """Bound each wait from now on, if the transport or its socket can."""
        raw = self._raw
        if raw is not None:
            raw.settimeout(seconds)
        else:
            set_timeout(self.transport, None if seconds is None else seconds * 1000)

    def fileno(self) -> int:
        """Return -1, so that the pool calls :meth:`quiet`, which sees the transport's buffers, too."""
        return -1

    def send(self, message: bytes) -> None:
        """Send one message."""
        self.transport.write(message)
        self.transport.flush()

    def has_leftover(self) -> bool:
        """Whether bytes beyond the reply have arrived, apart from buffers that are asked with ``one_byte``."""
        if self._ours is not None and self._ours.has_leftover():
            return True
        if self.one_byte is None:
            return self._raw is not None and self._next() is not None
        return isinstance(self._raw, ssl.SSLSocket) and self._raw.pending() > 0

    def quiet(self) -> bool:
        """Whether the transport is open and nothing has arrived unasked."""
        return self.sock is not None and (self._raw is None or self._next() is None)

    def _next(self) -> object:
        """The next byte, or the exception of reading it; None: nothing has arrived."""
        if self._ours is not None and self._ours.has_leftover():
            return True
        before = self._heard.received
        try:
            with self._without_waiting():
                return self.transport.read(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None if self._heard.received == before else True  # part of a frame was read, and is lost
        except Exception as error:  # the connection has ended, or its bytes are no reply
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
        """Mark the connection as lost before the user closes it."""
        if self._opened and not self._over:
            self._connection.closing()

    def shut(self) -> None:
        """Close without asking and without waiting."""
        if self._is_inherited and self._ours is None:
            self.abandon()
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
        """Shut the connection down while a caller uses it; the call fails."""
        self._over = True
        if self._ours is not None:
            self._ours.interrupt()
        elif self._raw is not None:
            self._end_session()
        else:
            self.transport.close()

    @property
    def _is_inherited(self) -> bool:
        return self._pid not in (0, os.getpid())

    def _end_session(self) -> None:
        # shutdown() would end the connection for the process that forked this one, too.
        raw = self._raw
        if raw is not None and not self._is_inherited:
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
