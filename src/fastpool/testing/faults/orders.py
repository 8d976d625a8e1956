"""What passes between a test's thread and the fault proxy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from ..news import Flag


class Order:
    """Something that another thread wants done in the proxy's."""

    def __init__(self, what: Callable[[], object]) -> None:
        self.done = Flag()
        self.error: BaseException | None = RuntimeError("The FaultProxy ended before it did as it was told")
        """What the other thread is to raise, once ``done`` is set."""
        self.failure: BaseException | None = None
        self._what = what

    def carry_out(self) -> None:
        """Do it; remember what it raised."""
        try:
            self._what()
        except BaseException as error:
            self.failure = error


class HeldReplies:
    """Replies that the proxy keeps to itself; made by ``FaultProxy.hold_replies``."""

    def __init__(self, release: Callable[[], None]) -> None:
        self.entered = Flag()
        """Set when the first bytes of a reply have arrived and are kept."""
        self._release = release

    def release(self) -> None:
        """Let the replies go; they are on their way when this returns."""
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.release()
