"""Connections that know how many replies the server still owes them."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from inspect import signature
from ssl import SSLSocket
from typing import TYPE_CHECKING, Any

from redis import connection as library
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError, ResponseError, TimeoutError

from .._subclass import is_kind, subclass
from .owed import Owed

# redis-py before 5.1 has no cache
CacheProxyConnection: Any = getattr(library, "CacheProxyConnection", AbstractConnection)


# redis-py before 7.2 waits for the rest of a push that has come in part
_NOW: dict[str, Any] = {"timeout": 0} if "timeout" in signature(AbstractConnection.read_response).parameters else {}


class Tracked(Owed):
    """Mixed into a connection class of redis-py's, in front of it."""

    _may_have_unread = False  # in the parser's buffer: nobody has looked since the last read

    if TYPE_CHECKING:
        _sock: Any
        _parser: Any
        socket_timeout: float | None
        socket_connect_timeout: float | None

    def send_packed_command(self, command: Any, check_health: bool = True) -> Any:
        """Send packed commands; from now on the server owes their replies."""
        outer = self._begin_send()
        try:
            return super().send_packed_command(command, check_health=check_health)  # type: ignore[misc]
        finally:
            self._end_send(outer, self._sock is not None)

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read a reply."""
        self._may_have_unread = True
        try:
            reply = super().read_response(*args, **kwargs)  # type: ignore[misc]
        except ResponseError:
            self._got_error()
            raise
        if not kwargs.get("push_request"):
            self._got_reply()
        return reply

    def can_read(self, *args: Any, **kwargs: Any) -> Any:
        """Whether there is anything to read; it may be taken from the socket into the parser's buffer."""
        self._may_have_unread = True
        return super().can_read(*args, **kwargs)  # type: ignore[misc]

    def disconnect(self, *args: Any, **kwargs: Any) -> Any:
        """Disconnect; what was owed will never come."""
        try:
            return super().disconnect(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._owed = self._sending

    def _enable_maintenance_notifications(self, *args: Any, **kwargs: Any) -> Any:
        self._refused = False
        result = super()._enable_maintenance_notifications(*args, **kwargs)  # type: ignore[misc]
        self._pushes = not self._refused
        return result

    # ---- what the pool asks

    def fileno(self) -> int:
        """Give the descriptor; ConnectionError if the connection is closed or out of step. Does not wait."""
        sock = self._sock
        if sock is None or self._should_reconnect:
            raise ConnectionError(f"{self!r} is closed")
        if self._may_have_unread or self._pushes:
            self._may_have_unread = False
            if not (self._take_pushes() if self._pushes else self._is_read_up()):
                self._taint()
                raise ConnectionError(f"{self!r} is out of step: the server has sent what nobody has read")
        return sock.fileno()

    def _is_read_up(self) -> bool:
        """Whether everything that was received has been read. Does not look at the socket."""
        sock = self._sock
        if isinstance(sock, SSLSocket) and sock.pending():
            return False
        parser = self._parser
        reader = getattr(parser, "_reader", None)  # hiredis
        if reader is not None:
            return not reader.has_data()
        buffer = parser._buffer
        return buffer is None or not buffer.unread_bytes()

    def _apply_timeout(self) -> None:
        """Bound the waits of the open socket by ``socket_timeout``, which has changed."""
        if self._sock is None:
            return
        self._sock.settimeout(self.socket_timeout)
        parser = self._parser
        if hasattr(parser, "_socket_timeout"):  # hiredis
            parser._socket_timeout = self.socket_timeout
        elif parser._buffer is not None:
            parser._buffer.socket_timeout = self.socket_timeout

    def _take_pushes(self) -> bool:
        """Handle what the server has sent by itself; False if anything else has come. Does not wait."""
        parser = self._parser
        handle, handled = parser.handle_push_response, 0

        def count(*args: Any, **kwargs: Any) -> Any:
            nonlocal handled
            handled += 1
            return handle(*args, **kwargs)

        parser.handle_push_response = count
        try:
            taken = 0
            while self.can_read(0):
                try:
                    self.read_response(push_request=True, disconnect_on_error=False, **_NOW)
                except TimeoutError:
                    break  # the rest of it has not come yet
                taken += 1
            return taken == handled
        finally:
            del parser.handle_push_response


class CacheConnection(CacheProxyConnection):
    """The connection of a pool with redis-py's cache: it answers from there, or asks the tracked one inside."""

    def fileno(self) -> int:
        """As :meth:`Tracked.fileno`."""
        return self._conn.fileno()


def tracked(connection_class: Any) -> Any:
    """A subclass of ``connection_class`` that tracks its calls; itself if it is none of redis-py's kind."""
    return subclass(Tracked, AbstractConnection, connection_class)


def is_tracked(connection_class: Any) -> bool:
    """Whether connections of this class can be tracked."""
    return is_kind(AbstractConnection, connection_class)
