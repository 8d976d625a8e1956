"""The reply that the next caller reads after a call was interrupted while its reply was on the way.

A timer signal raises in the middle of the call, as the time limit of a web server or a task queue does; the caller
swallows it. The reply arrives late, on a connection that is back in the pool, or is not.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from .load import FAMILY, ROWS, TABLE, Pool

_SLOW = 0.8
_PATIENCE = 0.2


class TimeIsUp(Exception):
    """The caller's time limit, raised into the middle of its call."""


@dataclass(frozen=True)
class Outcome:
    """``asked``: the row asked for; ``got``: the row that the reply was for, or the error."""

    asked: str
    got: str

    @property
    def right(self) -> bool:
        return self.got == self.asked


def can_interrupt() -> bool:
    """Whether this can be tried here, which takes POSIX timers and the main thread."""
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


def interrupted_call(pool: Pool, server: Any) -> Outcome:
    """Interrupt a ``row(b"first")`` on a connection of ``pool``, then ask for ``row(b"other")``; the outcome.

    ``server`` is an HBaseServer with the load's table. RuntimeError if the call ended before it could be interrupted.
    """
    first, other = ROWS
    server.delay = _SLOW
    try:
        with _alarm(_PATIENCE), pool.connection() as connection:
            connection.table(TABLE).row(first)
    except TimeIsUp:
        pass
    else:
        raise RuntimeError(f"A call that takes {_SLOW:g} s was over before {_PATIENCE:g} s had passed")
    finally:
        server.delay = 0.0
    with pool.connection() as connection:
        try:
            row = connection.table(TABLE).row(other)
        except Exception as error:
            return Outcome(other.decode(), f"{type(error).__name__}: {error}")
    return Outcome(other.decode(), row.get(f"{FAMILY}:name".encode(), b"nothing").decode())


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeIsUp(f"no reply within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
