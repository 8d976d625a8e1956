"""The part of a driver of guarded connections that threads and tasks share."""

from __future__ import annotations

from typing import Any, ClassVar

from ..._driver import Driver


class ThriftDriver(Driver):
    """Checks, closes and abandons guarded connections; ``connection_kwargs`` are those of ``library_connection``."""

    tracks_calls = True
    library_connection: ClassVar[Any]

    def __init__(self, **connection_kwargs: Any) -> None:
        # Made only so that wrong arguments raise here what the library raises for them.
        self.library_connection(**{**connection_kwargs, "autoconnect": False})
        self.connection_kwargs = connection_kwargs

    def close(self, c: Any) -> None:
        """Close the transport of ``c``, without waiting, from any thread."""
        c.end()

    def check(self, c: Any, timeout: float | None) -> bool:
        """Say whether ``c`` is open and in step, without waiting; under TLS that reads what has arrived."""
        in_step: bool = c.client.in_step()
        return in_step

    def fileno(self, c: Any) -> int:
        """Give the descriptor of the transport in use."""
        fd: int = c.client.fileno()
        return fd

    def abandon(self, c: Any) -> None:
        """Close only the descriptor, in a forked child: the parent goes on using the connection."""
        c.abandon()
