"""Sockets that note the bodies of the replies that happybase receives; and a file of such replies of a real HBase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import happybase
import happybase.connection
import pytest
from thriftpy2.transport import TSocket

from fastpool.adapters.happybase.transport import GuardedSocket

CORPUS = Path(__file__).with_name("codec_corpus.txt")

Replies = dict[bytes, list[bytes]]
"""Name of a method to the bodies of its replies, in turn."""


class Recorder:
    """A socket that notes the replies of a call, buffered and not framed."""

    def __init__(self, real: Any, replies: Replies) -> None:
        self._real = real
        self._replies = replies
        self._name = b""
        self._reply = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def sendall(self, data: bytes) -> None:
        self.note()
        self._name = name_of(data) or self._name
        self._real.sendall(data)

    def recv(self, size: int) -> bytes:
        data: bytes = self._real.recv(size)
        self._reply += data
        return data

    def note(self) -> None:
        """Keep the reply that was received."""
        if self._reply:
            body = self._reply[self._reply.index(self._name) + len(self._name) :]
            self._replies.setdefault(self._name, []).append(body[4:] if self._reply[0] == 0x80 else body)
        self._reply = b""


def name_of(message: bytes) -> bytes:
    """The name of the method that a message calls; b"" if it is the rest of a message."""
    if message[:4] == b"\x80\1\0\1":
        return message[8 : 8 + message[7]]
    if message[:2] == b"\x82\x21":
        at = 2
        while message[at] & 0x80:
            at += 1
        return message[at + 2 : at + 2 + message[at + 1]]
    return b""


@contextmanager
def wrapped(wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Wrap each socket that is opened inside, by happybase or by fastpool."""

    class Wrapped(TSocket):  # type: ignore[misc]
        def open(self) -> None:
            super().open()
            self.sock = wrap(self.sock)

    connect = GuardedSocket._connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(happybase.connection, "TSocket", Wrapped)
        patch.setattr(GuardedSocket, "_connect", lambda self: wrap(connect(self)))
        yield


def recorded(use: Callable[[happybase.Connection], object], **where: Any) -> Replies:
    """The replies that happybase gets at this address when it does this."""
    found: Replies = {}
    recorders: list[Recorder] = []

    def wrap(sock: Any) -> Recorder:
        recorders.append(Recorder(sock, found))
        return recorders[-1]

    with wrapped(wrap):
        connection = happybase.Connection(**where)
        use(connection)
        recorders[-1].note()
        connection.close()
    return found


def stored() -> Iterator[tuple[str, bool, bytes]]:
    """The replies of a real HBase that are kept: name of the method, whether it is the compact protocol, body."""
    for line in CORPUS.read_text("ascii").splitlines():
        name, protocol, body = line.split()
        yield name, protocol == "compact", bytes.fromhex(body)
