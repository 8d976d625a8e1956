"""Checks of a factory's product, and hooks in the calls of its socket."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from thriftpy2.transport import TBufferedTransport, TFramedTransport

from .._thrift.sockets import frame
from .transport import CannedReply

SOCKET = ("open", "close", "read", "write")
TRANSPORT = (*SOCKET, "flush")


def made_by(factory: str, one: Any, methods: tuple[str, ...]) -> Any:
    """Return ``one``, which ``factory`` made; TypeError if it lacks one of the methods."""
    missing = [method for method in methods if not callable(getattr(one, method, None))]
    if missing:
        raise TypeError(
            f"{factory} must return an object with {', '.join(methods)}; {one!r} has no {', '.join(missing)}"
        )
    return one


def one_byte_for(transport: Any) -> bytes | None:
    """A reply of one byte, for transports whose buffers can be tested with one; else None."""
    kind = type(transport)
    return b"\0" if kind is TBufferedTransport else frame(b"\0") if kind is TFramedTransport else None


class Heard:
    """Counts the bytes read from a socket, and calls a function before some of its other methods.

    The socket stays the object that the user's factory made; its methods are replaced on the instance. An object that
    does not allow that (``__slots__``) is left unchanged.
    """

    def __init__(self, under: Any, before: Mapping[str, Callable[[], object]]) -> None:
        self.received = 0  # bytes
        self.canned: CannedReply | None = None  # served to reads in place of the server's bytes
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
