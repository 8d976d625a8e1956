"""The orders of a test to the server about calls and replies: hold them, slow them down, misbehave.

Waits are on conditions, never on time; a connection that is dropped wakes the threads that wait for its calls.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, Self

from ..._core import Cell
from ..news import Flag, News

KINDS = ("wrong_seqid", "wrong_name", "extra_reply", "extra_reply_later", "half_reply", "late_reply", "close")


class Transport(Protocol):
    """The part of a connection that this module uses."""

    dropped: bool

    def send(self, data: bytes) -> None: ...

    def drain(self) -> None: ...

    def hang_up(self) -> None: ...


class _Held:
    """Keeps calls waiting until it is released."""

    def __init__(self, forget: Callable[[_Held], None]) -> None:
        self.released = False
        self._changed = News()
        self._forget = forget
        self._waiting: set[int] = set()  # the threads whose calls wait
        self._unanswered: set[int] = set()

    def _enter(self) -> None:
        self._waiting.add(threading.get_ident())
        self._unanswered.add(threading.get_ident())
        self._changed.tell()

    def _sleep(self, transport: Transport) -> None:
        self._changed.wait_for(lambda: self.released or transport.dropped)
        self._waiting.discard(threading.get_ident())
        self._changed.tell()

    def answered(self) -> None:
        """Note that this thread's reply was sent, or that its connection is gone."""
        self._unanswered.discard(threading.get_ident())
        self._changed.tell()

    def wake(self) -> None:
        """Have waiting calls look again whether their connection is still open."""
        self._changed.tell()

    def unblock(self) -> None:
        """Let the waiting calls go on."""
        self.released = True
        self._changed.tell()

    def release(self, wait: float = 5.0) -> bool:
        """Let the waiting calls go on; wait up to ``wait`` seconds for their replies; return whether all are sent."""
        self._forget(self)
        self.unblock()
        return self._changed.wait_for(lambda: not self._unanswered, wait)


class Hold(_Held):
    """Calls that arrive and are not served before :meth:`release`; made by ``HBaseServer.hold``."""

    def __init__(self, method: str | None, forget: Callable[[_Held], None]) -> None:
        super().__init__(forget)
        self.method = method
        self.entered = Flag()
        """Set when the first call has arrived."""

    @property
    def held(self) -> int:
        """How many calls are waiting now."""
        return len(self._waiting)

    def wait(self, count: int = 1, timeout: float = 5.0) -> bool:
        """Wait up to ``timeout`` seconds until at least ``count`` calls are waiting; return whether they are."""
        return self._changed.wait_for(lambda: len(self._waiting) >= count, timeout)

    def pass_through(self, transport: Transport) -> None:
        """Keep the calling thread until the release, or until ``transport`` is dropped."""
        self._enter()
        self.entered.set()
        self._sleep(transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()


class Misbehaviour(_Held):
    """One way in which the next replies go wrong; made by ``HBaseServer.misbehave``."""

    def __init__(
        self,
        kind: str,
        method: str | None,
        times: int,
        until: threading.Event | None,
        forget: Callable[[_Held], None],
        message: str | None = None,
    ) -> None:
        super().__init__(forget)
        self.kind = kind
        self.method = method
        self.message = message  # of the error that calls are answered by instead
        self.happened = Flag()
        """Set when the reply went wrong for the first time: late ones then are still to come."""
        self._left = Cell(times)
        self._until = until
        self._later: list[tuple[Transport, bytes]] = []

    def take(self) -> int:
        """Take one of its replies; how many there were."""
        while (left := self._left.value) and not self._left.replace(left, left - 1):
            pass
        return left

    def carry_out(self, transport: Transport, encode: Callable[[str, int], bytes], name: str, seqid: int) -> None:
        """Answer a call in this way; ``encode`` makes the reply for a method name and a sequence id."""
        reply = encode(name, seqid)
        if self.message is not None:
            transport.send(reply)
        elif self.kind == "wrong_seqid":
            transport.send(encode(name, seqid + 1 if seqid < 2**31 - 1 else 0))
        elif self.kind == "wrong_name":
            transport.send(encode("getTableNames" if name != "getTableNames" else "getRow", seqid))
        elif self.kind == "extra_reply":
            transport.send(reply + reply)
        elif self.kind == "extra_reply_later":
            self._later.append((transport, reply))
            transport.send(reply)
        elif self.kind == "half_reply":
            transport.send(reply[: len(reply) // 2])
        elif self.kind == "close":
            transport.hang_up()
        elif self.kind == "late_reply":
            self._enter()  # before it is announced: release() then waits until it is sent
        self.happened.set()
        if self.kind == "half_reply":
            transport.drain()
        elif self.kind == "late_reply":
            self._be_late(transport, reply)

    def _be_late(self, transport: Transport, reply: bytes) -> None:
        try:
            if self._until is None:
                self._sleep(transport)
            else:
                # Polled: a drop of the connection, or the server's stop, cannot end a wait for the caller's own event.
                while not (self._until.wait(0.02) or self.released or transport.dropped):
                    pass
            transport.send(reply)
        finally:
            self.answered()

    def release(self, wait: float = 5.0) -> bool:
        """Send late and extra replies now; wait up to ``wait`` seconds until they are sent; return whether they are."""
        while self._later:
            with contextlib.suppress(OSError, IndexError):  # the connection is gone, or another thread has taken it
                transport, reply = self._later.pop()
                transport.send(reply)
        return super().release(wait)


class Script:
    """All requests of a test to one server. There is no lock: its lists change by single operations."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._stopping = Flag()
        self._slow: dict[str, float] = {}
        self._holds: list[Hold] = []
        self._wrong: list[Misbehaviour] = []
        self._alive: list[_Held] = []

    @property
    def active(self) -> bool:
        """False while nothing is asked for: the fast path."""
        return bool(self.delay or self._slow or self._holds or self._wrong)

    def set_delay(self, seconds: float, method: str | None = None) -> None:
        """Have each call (of ``method``, if given) take ``seconds`` longer; 0 ends it."""
        if method is None:
            self.delay = seconds
        elif seconds:
            self._slow[method] = seconds
        else:
            self._slow.pop(method, None)

    def hold(self, method: str | None) -> Hold:
        """Keep calls of ``method`` (None: of any) from being served until the hold is released."""
        hold = Hold(method, self._forget)
        self._alive.append(hold)
        self._holds.append(hold)
        return hold

    def misbehave(
        self,
        kind: str,
        method: str | None,
        times: int,
        until: threading.Event | None,
        message: str | None = None,
    ) -> Misbehaviour:
        """Have the next ``times`` replies (to ``method``) go wrong; ``message``: by HBase's IOError instead."""
        wrong = Misbehaviour(kind, method, times, until, self._forget, message)
        self._alive.append(wrong)
        self._wrong.append(wrong)
        return wrong

    def arrived(self, transport: Transport, method: str) -> tuple[list[Hold], Misbehaviour | None]:
        """Have a call that arrived wait as asked; return the holds it passed and what its reply is to suffer."""
        seconds = self.delay + self._slow.get(method, 0.0)
        holds = [hold for hold in self._holds.copy() if hold.method in (None, method)]
        wrong = self._take_wrong(method)
        for hold in holds:
            hold.pass_through(transport)
        if seconds:
            # sleep is the more exact of the two, but a server that stops does not wait for its end.
            pause: Callable[[float], object] = time.sleep if seconds <= 0.1 else self._stopping.wait
            pause(seconds)
        return holds, wrong

    def _take_wrong(self, method: str) -> Misbehaviour | None:
        for wrong in self._wrong.copy():
            if wrong.method in (None, method):
                left = wrong.take()
                if left <= 1:
                    _remove(self._wrong, wrong)
                if left:
                    return wrong
        return None

    def wake(self) -> None:
        """Have all waiting calls look whether their connection is still open."""
        for held in self._alive.copy():
            held.wake()

    def stop(self) -> None:
        """Release all holds, and accept no new ones before :meth:`restart`."""
        self._stopping.set()
        for held in self._alive.copy():
            held.unblock()

    def restart(self) -> None:
        """Forget the requests to an earlier run, except delays."""
        self._stopping.clear()
        self._holds.clear()
        self._wrong.clear()
        self._alive.clear()

    def _forget(self, held: _Held) -> None:
        for among in (self._holds, self._wrong, self._alive):
            _remove(among, held)


def _remove(among: list[Any], one: object) -> None:
    with contextlib.suppress(ValueError):  # it is gone
        among.remove(one)
