"""TLS over a guarded socket, in memory: only code that moves the bytes itself can see where a record ends.

A pool must know of an idle connection whether something has arrived that no call asked for. Under TLS, session tickets
(which arrive after the handshake) mean nothing, close_notify ends the session, and half a record means that the server
has begun to send: after its first answer such a connection is out of step, as with half a reply without TLS.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from thriftpy2.transport import TTransportException

_HEADER = 5
PIECE = 1 << 16  # most bytes that are asked of a socket at once where more may come


class Tls:
    """The two directions of one TLS connection."""

    def __init__(self, context: ssl.SSLContext, hostname: str | None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._answered = False  # the server has sent data: its tickets, which come before, have been read
        self._head = b""  # the first bytes of a record's header, while it is not whole
        self._body = 0  # how many bytes of the last record are still to come

    # ---- encrypted bytes

    def receive(self, data: bytes) -> None:
        """Take bytes that arrived."""
        self._incoming.write(data)
        at = 0
        while at < len(data):
            if self._body:
                step = min(self._body, len(data) - at)
                self._body -= step
            else:
                step = min(_HEADER - len(self._head), len(data) - at)
                self._head += data[at : at + step]
                if len(self._head) == _HEADER:
                    self._body = int.from_bytes(self._head[3:], "big")
                    self._head = b""
            at += step

    def to_send(self) -> bytes:
        """The bytes to send now, maybe none."""
        return self._outgoing.read()

    # ---- handshake and data

    def shake_hands(self) -> bool:
        """Continue the handshake as far as possible; return whether it is done. ssl.SSLError if it fails."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Return the encrypted bytes of ``data``."""
        self._object.write(data)
        return self._outgoing.read()

    def decrypt(self, most: int = PIECE) -> bytes:
        """The data that has arrived, at most ``most`` bytes of it, maybe none.

        TTransportException(END_OF_FILE) once the server has ended the TLS session, ssl.SSLError if it is no TLS.
        """
        try:
            if data := self._object.read(most):
                self._answered = True
                return data
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLZeroReturnError:
            pass
        # The socket may stay open after that: many servers wait until this side ends the session, too.
        raise TTransportException(TTransportException.END_OF_FILE, "TSocket read 0 bytes")

    def has_leftover(self) -> bool:
        """Whether more than one reply has arrived, also in a record that is not decrypted yet, or not whole."""
        try:
            more = bool((self._object.pending() or self._incoming.pending) and self.decrypt())
        except TTransportException:
            return False  # the end of the TLS session is no reply: quiet() or the next read notices it
        except ssl.SSLError:
            return True
        return more or self._cut_short

    def quiet(self, receive: Callable[[], bytes]) -> bool:
        """Whether the session is open, and only session tickets have arrived since the last reply.

        ``receive`` reads from the socket without waiting: b"" once the server hung up, BlockingIOError if nothing came.
        """
        try:
            data = receive()
            if not data:
                return False
            self.receive(data)
        except BlockingIOError:
            pass
        except OSError:
            return False
        try:
            return not self.decrypt() and not self._cut_short
        except (TTransportException, ssl.SSLError):
            return False

    @property
    def _cut_short(self) -> bool:
        """Whether only part of a record has arrived, after a first answer: it is no ticket."""
        return self._answered and bool(self._head or self._body)
