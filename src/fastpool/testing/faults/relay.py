"""One connection through the fault proxy: two directions, and what a fault does to the bytes on their way.

Everything here runs in the proxy's one thread and never blocks.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..sockets import reset_on_close

_CHUNK = 65536
_LIMIT = 1 << 20
_UNDER_WAY = (0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


@dataclass(frozen=True)
class Faults:
    """The faults that the proxy applies to connections, present and new; none by default."""

    hang: bool = False
    reset: bool = False
    hold: bool = False
    delay: float = 0.0
    dribble: float | None = None
    cut_after: int | None = None


class Flow:
    """One direction: bytes read from ``source`` and not yet sent to ``target``, each with the time it is due."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.size = 0
        self.last_due = 0.0
        self.ended = False
        """The source said that it has no more to say."""
        self.closed = False
        """The sending side towards the target has been shut down."""
        self.blocked = False

    def read(self, now: float, delay: float, dribble: float | None) -> int:
        """Read what the source has; the number of bytes. OSError if it was reset."""
        taken = 0
        while not self.ended and self.size < _LIMIT:
            try:
                data = self.source.recv(_CHUNK)
            except (BlockingIOError, InterruptedError):
                break
            if not data:
                self.ended = True
                break
            taken += len(data)
            self.size += len(data)
            self.last_due = max(now + delay, self.last_due)
            if dribble is None:
                self.waiting.append((self.last_due, data))
                continue
            for byte in data:
                self.last_due += dribble
                self.waiting.append((self.last_due, bytes((byte,))))
        return taken

    def write(self, now: float, at_most: int | None) -> int:
        """Send what is due, up to ``at_most`` bytes; the number sent. OSError if the target is gone."""
        sent = 0
        self.blocked = False
        while self.waiting and self.waiting[0][0] <= now and (at_most is None or sent < at_most):
            due, data = self.waiting[0]
            part = data if at_most is None else data[: at_most - sent]
            try:
                count = self.target.send(part) if not self.closed else len(part)
            except (BlockingIOError, InterruptedError):
                self.blocked = True
                break
            sent += count
            self.size -= count
            if count == len(data):
                self.waiting.popleft()
            else:
                self.waiting[0] = (due, data[count:])
        return sent

    def hurry(self) -> None:
        """Make everything due now."""
        self.waiting = deque((0.0, data) for _, data in self.waiting)
        self.last_due = 0.0

    def finish(self) -> None:
        """Pass the end of the stream on, after everything before it."""
        if self.ended and not self.waiting and not self.closed:
            self.close()

    def close(self) -> None:
        """Shut down the sending side towards the target."""
        self.closed = True
        with contextlib.suppress(OSError):
            self.target.shutdown(socket.SHUT_WR)


class Relay:
    """A client's connection, and the connection to the server that belongs to it."""

    def __init__(
        self, client: socket.socket, selector: selectors.BaseSelector, on_end: Callable[[Relay], None]
    ) -> None:
        self.client = client
        self.server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        for sock in (self.client, self.server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = Flow(self.client, self.server)
        self.replies = Flow(self.server, self.client)
        self.cut_left: int | None = None
        self._selector = selector
        self._on_end = on_end
        self._asked = False
        self._connected = False
        self._failed = 0
        self._interest: dict[socket.socket, int] = {}

    def connect(self, address: tuple[str, int]) -> None:
        """Begin to connect to the server."""
        self._asked = True
        code = self.server.connect_ex(address)
        self._failed = 0 if code in _UNDER_WAY else code

    @property
    def wants_server(self) -> bool:
        """Whether it is not connected to the server yet, because the proxy hangs."""
        return not self._asked

    def move(self, faults: Faults, now: float) -> int:
        """Move what can be moved; the number of bytes of reply read. The relay may be over afterwards."""
        if faults.hang or not self._asked:
            self._watch({})
            return 0
        taken = 0
        try:
            if not self._connected and not self._connect_done():
                self._watch({self.server: WRITE})
                return 0
            self.requests.read(now, 0.0, None)
            taken = self.replies.read(now, faults.delay, faults.dribble)
            self.requests.write(now, None)
            self.requests.finish()
            if not faults.hold:
                self._reply(now)
        except OSError:
            self.end(reset=True)
            return taken
        if self.requests.closed and self.replies.closed:
            self.end(reset=False)
        elif self.client.fileno() >= 0:
            self._watch(self._wishes())
        return taken

    def due(self, faults: Faults) -> float | None:
        """When the next delayed bytes are due."""
        flows = (self.requests,) if faults.hold else (self.requests, self.replies)
        return min((flow.waiting[0][0] for flow in flows if flow.waiting and not flow.blocked), default=None)

    def heal(self) -> None:
        """Undo what faults left behind."""
        self.cut_left = None
        self.replies.hurry()

    def half_close(self) -> None:
        """Shut down the sending side towards the client, and go on reading its requests."""
        self.replies.close()

    def end(self, reset: bool) -> None:
        """End both sides: the client's with a reset if asked."""
        self._watch({})
        if reset:
            with contextlib.suppress(OSError):
                reset_on_close(self.client)
        for sock in (self.client, self.server):
            if not reset:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._on_end(self)

    def _reply(self, now: float) -> None:
        sent = self.replies.write(now, self.cut_left)
        if self.cut_left is not None:
            self.cut_left -= sent
            if self.cut_left == 0 and (sent or self.replies.waiting):
                self.end(reset=False)
                return
        self.replies.finish()

    def _connect_done(self) -> bool:
        error = self._failed or self.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "the server behind the proxy cannot be reached")
        try:
            self.server.getpeername()
        except OSError:
            return False
        self._connected = True
        return True

    def _wishes(self) -> dict[socket.socket, int]:
        wishes: dict[socket.socket, int] = {}
        for flow in (self.requests, self.replies):
            if not flow.ended and flow.size < _LIMIT:
                wishes[flow.source] = wishes.get(flow.source, 0) | READ
            if flow.blocked:
                wishes[flow.target] = wishes.get(flow.target, 0) | WRITE
        return wishes

    def _watch(self, wishes: dict[socket.socket, int]) -> None:
        for sock in (self.client, self.server):
            old, new = self._interest.get(sock, 0), wishes.get(sock, 0)
            if old == new:
                continue
            if not old:
                self._selector.register(sock, new, self)
            elif not new:
                self._selector.unregister(sock)
            else:
                self._selector.modify(sock, new, self)
            self._interest[sock] = new
