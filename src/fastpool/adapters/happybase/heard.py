"""What a factory made: whether it is what it should be, and what is done with the socket, by whoever does it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from thriftpy2.protocol.binary import TBinaryProtocol as PlainBinaryProtocol
from thriftpy2.protocol.compact import TCompactProtocol
from thriftpy2.transport import TBufferedTransport, TFramedTransport
from thriftpy2.transport.cybase import CyTransportBase

from .._thrift.sockets import frame
from .transport import CannedReply

SOCKET = ("open", "close", "read", "write")
TRANSPORT = (*SOCKET, "flush")


def made_by(factory: str, one: Any, methods: tuple[str, ...]) -> Any:
    """``one``, which ``factory`` made; TypeError if it lacks one of the methods."""
    missing = [method for method in methods if not callable(getattr(one, method, None))]
    if missing:
        raise TypeError(
            f"{factory} must return an object with {', '.join(methods)}; {one!r} has no {', '.join(missing)}"
        )
    return one


def protocol_for(transport: Any, compiled: Callable[..., Any]) -> Callable[..., Any]:
    """The class of protocols that can read from ``transport``: ``compiled``, if it is one of thriftpy2's compiled."""
    if isinstance(transport, CyTransportBase):
        return compiled
    return TCompactProtocol if compiled is TCompactProtocol else PlainBinaryProtocol


def set_timeout(one: Any, milliseconds: float | None) -> None:
    """Bound each wait of a socket or transport, if it can; thriftpy2's are told in milliseconds."""
    setter = getattr(one, "set_timeout", None) or getattr(one, "setTimeout", None)
    if setter is not None:
        setter(milliseconds)


def bound_opening(under: Any, milliseconds: float | None, limit: float | None) -> None:
    """Set the timeouts of a socket like thriftpy2's: happybase's, and for connecting the ``limit`` seconds left."""
    if milliseconds:
        set_timeout(under, milliseconds)
    if limit is not None and hasattr(under, "connect_timeout"):
        usual = under.connect_timeout
        under.connect_timeout = limit if usual is None else min(usual, limit)


def one_byte_for(transport: Any) -> bytes | None:
    """A reply of one byte, if the buffers of ``transport`` are of the kind that can be asked with one; else None."""
    kind = type(transport)
    return b"Z" if kind is TBufferedTransport else frame(b"Z") if kind is TFramedTransport else None


class Heard:
    """Counts what is read from a socket, and has other calls of it announced before they are made.

    The socket is the user's, and stays the object that its factory made: it is given methods of its own. One that
    takes none (``__slots__``) is left as it is.
    """

    def __init__(self, under: Any, before: Mapping[str, Callable[[], object]]) -> None:
        self.received = 0  # bytes
        self.canned: CannedReply | None = None  # what a read gives instead
        read = under.read

        def heard_read(size: int) -> Any:
            data = read(size) if self.canned is None else self.canned.read(size)
            self.received += len(data)
            return data

        with contextlib.suppress(AttributeError, TypeError):
            under.read = heard_read
            for name, announced in before.items():
                setattr(under, name, _after(announced, getattr(under, name)))


def _after(announced: Callable[[], object], method: Callable[[], object]) -> Callable[[], object]:
    def heard() -> object:
        announced()
        return method()

    return heard
