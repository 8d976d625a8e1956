"""Awaited connections that know how many replies the server still owes them."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, ResponseError

from ..._subclass import is_kind, subclass
from ..owed import Owed

_PUSH = b">"


class Tracked(Owed):
    """Mixed into a connection class of redis.asyncio's, in front of it."""

    _writer_seen: Any = None
    _socket: Any = None  # of that writer

    if TYPE_CHECKING:
        _reader: Any
        _writer: Any
        _parser: Any
        is_connected: bool

    async def send_packed_command(self, command: Any, check_health: bool = True) -> Any:
        """Send packed commands; from now on the server owes their replies."""
        outer = self._begin_send()
        try:
            return await super().send_packed_command(command, check_health=check_health)  # type: ignore[misc]
        finally:
            self._end_send(outer, self.is_connected)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read a reply."""
        try:
            reply = await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except ResponseError:
            self._got_error()
            raise
        # None may mean that nothing came, if the caller has given a time limit of its own
        if not kwargs.get("push_request") and (reply is not None or kwargs.get("timeout") is None):
            self._got_reply()
        return reply

    async def disconnect(self, *args: Any, **kwargs: Any) -> Any:
        """Disconnect; what was owed will never come."""
        try:
            return await super().disconnect(*args, **kwargs)  # type: ignore[misc]
        finally:
            self._owed = self._sending

    async def _enable_maintenance_notifications(self, *args: Any, **kwargs: Any) -> Any:
        self._refused = False
        result = await super()._enable_maintenance_notifications(*args, **kwargs)  # type: ignore[misc]
        self._pushes = not self._refused
        return result

    # ---- what the driver asks

    def _descriptor(self) -> int:
        """Give the descriptor; ConnectionError if the connection is closed or out of step. -1: there is none to probe.

        The loop reads ahead, so what has come may be in the stream's buffer, in the parser's, or still in the socket.
        """
        reader = getattr(self, "_reader", None)
        if reader is None or self._should_reconnect:
            if self._should_reconnect or not self.is_connected:
                raise ConnectionError(f"{self!r} is closed")
            return -1  # a class of the user's own that connects in another way
        if reader.at_eof() or reader.exception() is not None:
            raise ConnectionError(f"{self!r} was closed by the server")
        unread = reader._buffer  # redis-py looks at it, too: there is no public way that takes nothing out
        if (unread and not (self._pushes and unread[:1] == _PUSH)) or not self._is_read_up():
            self._taint()
            raise ConnectionError(f"{self!r} is out of step: the server has sent what nobody has read")
        if self._pushes:
            return -1  # data that waits may be a notification
        writer = self._writer
        if writer is not self._writer_seen:
            self._writer_seen, self._socket = writer, writer.get_extra_info("socket")
        fd = -1 if self._socket is None else self._socket.fileno()
        return fd if isinstance(fd, int) else -1

    def _is_read_up(self) -> bool:
        """Whether the parser has nothing left of what it was given."""
        parser = self._parser
        reader = getattr(parser, "_reader", None)  # hiredis
        if reader is not None:
            return not reader.has_data()
        return not getattr(parser, "_buffer", b"")


def tracked(connection_class: Any) -> Any:
    """A subclass of ``connection_class`` that tracks its calls; itself if it is none of redis.asyncio's kind."""
    return subclass(Tracked, AbstractConnection, connection_class)


def is_tracked(connection_class: Any) -> bool:
    """Whether connections of this class can be tracked."""
    return is_kind(AbstractConnection, connection_class)
