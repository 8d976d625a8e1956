"""What interrupts a call, and is nobody's own."""

from __future__ import annotations

from collections.abc import Iterator


class Interruption(BaseException):
    """Not an Exception, like KeyboardInterrupt, so that nobody takes it for his own."""


class Trap(list[bytes]):
    """A list of columns that interrupts the call while it is being put into the message."""

    def __init__(self, reason: BaseException | None = None) -> None:
        super().__init__([b"cf:a"])
        self.reason = Interruption() if reason is None else reason

    def __iter__(self) -> Iterator[bytes]:
        raise self.reason
