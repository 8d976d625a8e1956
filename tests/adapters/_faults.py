"""Ways to interrupt a call."""

from __future__ import annotations

from collections.abc import Iterator


class Interruption(BaseException):
    """An exception that interrupts a call; not an Exception, like KeyboardInterrupt, so no `except Exception` catches
    it."""


class Trap(list[bytes]):
    """A list of columns that raises while the call is encoded."""

    def __init__(self, reason: BaseException | None = None) -> None:
        super().__init__([b"cf:a"])
        self.reason = Interruption() if reason is None else reason

    def __iter__(self) -> Iterator[bytes]:
        raise self.reason
