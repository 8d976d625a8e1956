"""Awaited connections that know how many replies the server still owes them."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, ResponseError

from ...._driver import Driver
from ..._subclass import is_kind, subclass
from ..owed import Owed

_PUSH = b">"
_PLAIN: Driver[Any] = Driver()


class Tracked(Owed):
    """Mixed into a connection class of redis.asyncio's, in front of it."""

    _probed = False  # each look is made for a checkout, and the socket is probed after it
    _writer_seen: Any = None
    # of that writer:
    _fd = -1  # its descriptor; -1: it has none
    _is_closing: Any = None  # asks its transport, which closes the descriptor no sooner
    _has_data: Any = None  # asks hiredis's parser; None: it is another one
    _keeps_unread = False  # that other one has a buffer
    _finds_eof = False  # the probe that follows a look finds the end of the stream

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
            self._note_unfit()

    def mark_for_reconnect(self) -> None:
        """Have the connection closed when it comes back."""
        super().mark_for_reconnect()  # type: ignore[misc]
        self._note_unfit()

    def _note_unfit(self) -> None:
        """Note in the slot that the connection cannot be kept; taken back by the next reply."""
        if self._entry is not None:
            self._entry.taint()

    async def _enable_maintenance_notifications(self, *args: Any, **kwargs: Any) -> Any:
        self._refused = False
        result = await super()._enable_maintenance_notifications(*args, **kwargs)  # type: ignore[misc]
        self._pushes = not self._refused
        return result

    def _see(self, writer: Any) -> None:
        """Look up what belongs to the present writer, for the looks that follow."""
        sock = writer.get_extra_info("socket")
        fd = -1 if sock is None else sock.fileno()
        self._fd = fd if isinstance(fd, int) else -1
        self._is_closing = writer.transport.is_closing
        reader = getattr(self._parser, "_reader", None)
        self._has_data = None if reader is None else reader.has_data  # hiredis
        self._keeps_unread = hasattr(self._parser, "_buffer")
        self._finds_eof = self._probed and self._fd >= 0 and not self._pushes
        self._writer_seen = writer


def descriptor_of(c: Any) -> int:
    """Give the descriptor of a connection that is open and in step, -1 for none; ConnectionError for any other.

    The loop reads ahead, so what has come may be in the stream's buffer, in the parser's, or still in the socket.

    Not known at first if every checkout looks: the pool would otherwise look at each return, too, which finds nothing
    that the marks in the slot do not say, or that the next checkout would not find.
    """
    try:
        writer, seen = c._writer, c._writer_seen
    except AttributeError:  # a class of the user's own
        return _of_another_kind(c)
    if writer is None or c._should_reconnect:
        if c._should_reconnect:
            raise ConnectionError(f"{c!r} is to be closed")
        return _of_another_kind(c)
    if writer is not seen:
        c._see(writer)
        if seen is None and c._probed:
            return -1
    reader = c._reader
    if c._is_closing() or (not c._finds_eof and reader.at_eof()):
        raise ConnectionError(f"{c!r} was closed by the server")
    unread = reader._buffer  # redis-py looks at it, too: there is no public way that takes nothing out
    has_data = c._has_data
    left = c._keeps_unread and c._parser._buffer if has_data is None else has_data()
    if left or (unread and not (c._pushes and unread[:1] == _PUSH)):
        c._taint()
        raise ConnectionError(f"{c!r} is out of step: the server has sent what nobody has read")
    return -1 if not c._finds_eof and c._pushes else c._fd  # data that waits may be a notification


def _of_another_kind(c: Any) -> int:
    """Give the descriptor of a connection that is not redis-py's, or connects in another way."""
    if not getattr(c, "is_connected", True):
        raise ConnectionError(f"{c!r} is closed")
    return -1 if isinstance(c, Tracked) else _PLAIN.fileno(c)


def tracked(connection_class: Any) -> Any:
    """A subclass of ``connection_class`` that tracks its calls; itself if it is none of redis.asyncio's kind."""
    return subclass(Tracked, AbstractConnection, connection_class)


def is_tracked(connection_class: Any) -> bool:
    """Whether connections of this class can be tracked."""
    return is_kind(AbstractConnection, connection_class)
