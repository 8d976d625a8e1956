"""The commands that a test's thread passes to the fault proxy's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from ..news import Flag


class Order:
    """A call that another thread wants made in the proxy's thread."""

    def __init__(self, what: Callable[[], object]) -> None:
        self.done = Flag()
        self.error: BaseException | None = RuntimeError("The FaultProxy ended before it did as it was told")
        """The exception that the other thread must raise, once ``done`` is set."""
        self.failure: BaseException | None = None
        self._what = what

    def carry_out(self) -> None:
        """Make the call; keep what it raised."""
        try:
            self._what()
        except BaseException as error:
            self.failure = error


class HeldReplies:
    """Replies that the proxy holds back; made by ``FaultProxy.hold_replies``."""

    def __init__(self, release: Callable[[], None]) -> None:
        self.entered = Flag()
        """Set when the first bytes of a reply have arrived and are kept."""
        self._release = release

    def release(self) -> None:
        """Pass the held replies on; they are on their way when this returns."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()
