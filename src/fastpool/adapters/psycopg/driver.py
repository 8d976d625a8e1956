"""How psycopg_pool's drop-ins open, check, finish and reset a psycopg connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import Connection

from ..._core.greenlets import pause
from .driver_shared import IDLE, BaseDriver, probe_steps
from .steps import called

if TYPE_CHECKING:
    from ..._core import Entry


def resolved(value: Any) -> Any:
    """``value``, or what it returns if it is callable."""
    return value() if callable(value) else value


class PsycopgDriver(BaseDriver):
    """Opens, checks, finishes and resets synchronous connections."""

    exits = (Connection, ("__exit__", "commit"))
    resolved = staticmethod(resolved)
    pause = staticmethod(pause)

    def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection, and tell it its slot."""
        c = self.connect(server, timeout)
        c._entry = entry
        return c

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection."""
        return called(self.connect_steps(server, timeout))

    def close(self, c: Any) -> None:
        """Close ``c`` for good, also where ``close_returns`` makes its close() return it."""
        c._pool = None
        c.close()

    def check(self, c: Any, timeout: float | None) -> bool:
        """Call the user's check; one that raises means dead."""
        return self.on_check is None or called(self.check_steps(c, timeout))

    def reset(self, c: Any) -> None:
        """Roll back what was left open, and call the user's reset. Raises for a connection that is to be closed."""
        called(self.reset_steps(c))

    def ping(self, c: Any, timeout: float | None) -> bool:
        """Send an empty query."""
        try:
            self.pool().check_connection(c)  # a subclass may have its own
        except Exception:
            return False
        return True

    def is_clean_by_call(self, c: Any) -> bool:
        """Have a connection that is in no transaction end the block its own way, and look again."""
        state = c.pgconn
        if state.transaction_status != IDLE or getattr(c, "_tpc", None) is not None:
            return False
        c.__exit__(None, None, None)
        idle: bool = state.transaction_status == IDLE
        return idle

    def end_block(self, c: Any, exc: BaseException | None) -> None:
        """Commit, or roll back after an exception, as the connection's own ``with`` block does."""
        if exc is None:
            c.__exit__(None, None, None)
        else:
            c.__exit__(type(exc), exc, exc.__traceback__)


def check_connection(conn: Connection[Any]) -> None:
    """Send an empty query; raises what psycopg raises if that fails."""
    called(probe_steps(conn))
