"""What a pool must know of a kind of connection.

No lock is held, and no slot is in two hands, while any of these methods runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import Seat


class Driver:
    """How one kind of connection is opened, checked, reset and closed; override what differs.

    Only :meth:`connect` has no default. ``server`` is what ``servers`` gave, or None without servers;
    ``timeout`` the seconds that this checkout has left, None meaning no limit.
    """

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Open a connection and return it; whatever this raises is what the caller of the checkout sees."""
        raise TypeError(f"{type(self).__name__} does not say how to connect: override connect(server, timeout)")

    def close(self, c: Any) -> None:
        """End ``c``. What this raises is logged and no one else's business."""
        close = getattr(c, "close", None)
        if close is not None:
            close()

    def check(self, c: Any, timeout: float | None) -> bool:
        """Say whether ``c`` still works; may do I/O. Raising means: dead."""
        return True

    def reset(self, c: Any) -> None:
        """Make ``c`` fit for the next caller; if this raises, the connection is discarded."""

    def fileno(self, c: Any) -> int:
        """Give the descriptor for the probe that reads nothing, -1 for none."""
        fileno = getattr(c, "fileno", None)
        return -1 if fileno is None else fileno()

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Say whether ``c`` may be used again after its block ended with ``exc``."""
        return False

    def abandon(self, c: Any) -> None:
        """Forget ``c`` in a forked child, without a word on the wire: the parent goes on using it."""

    # What the pool calls; a driver that works with the slot's seat (the guarded happybase connection) overrides these.

    def open_seat(self, seat: Seat, server: Any, timeout: float | None) -> Any:
        """Open the connection of ``seat``; the default knows nothing of seats."""
        return self.connect(server, timeout)
