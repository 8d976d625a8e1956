"""How psycopg_pool's drop-ins open, check, finish and reset a psycopg connection."""

from __future__ import annotations

import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, get_origin

from psycopg import Connection, ProgrammingError
from psycopg.pq import TransactionStatus

from ..._core.greenlets import pause
from ..._driver import Driver
from .errors import PoolClosed, PoolDeadlock, PoolTimeout, TooManyRequests, Unfit
from .pooled import pooled

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._core import Entry

logger = logging.getLogger("psycopg.pool")

IDLE = int(TransactionStatus.IDLE)  # a plain int, which is compared faster
UNKNOWN = TransactionStatus.UNKNOWN
YOUNG_S = 1.0  # a connection that fails its check so soon is not replaced at once: its successor would fail, too


class Counters:
    """The figures that drivers count for get_stats(): connects, their time in ms, and bad returns."""

    def __init__(self) -> None:
        self.connections_num = 0
        self.connections_ms = 0
        self.connections_errors = 0
        self.returns_bad = 0


class BaseDriver(Driver[Any]):
    """The base of the drivers of synchronous and of awaited connections."""

    exhausted_error = PoolTimeout
    deadlock_error = PoolDeadlock
    closed_error = PoolClosed
    overloaded_error = TooManyRequests
    exits: tuple[Any, tuple[str, ...]]  # psycopg's class, and its methods that end a block and a transaction
    pool: Callable[[], Any]

    def __init__(
        self,
        conninfo: Any,
        kwargs: Any,
        connection_class: Any,
        configure: Any,
        check: Any,
        reset: Any,
        settings: dict[str, Any],
    ) -> None:
        self.settings = settings  # the pool's arguments that are no options of fastpool.Pool
        self.conninfo, self.kwargs, self.connection_class = conninfo, kwargs, connection_class
        self.on_configure, self.on_check, self.on_reset = configure, check, reset
        self.counters = Counters()
        self.checking = 0  # calls of the pool's check() under way
        # A class of its own may end a block its own way: that is called for every block.
        psycopgs, methods = self.exits
        plain = get_origin(connection_class) or connection_class  # that of Connection[Row] is Connection
        self._pooled_class = pooled(psycopgs, connection_class)
        ends_as_psycopg = all(getattr(plain, name, None) is getattr(psycopgs, name) for name in methods)
        if reset is not None:
            self.is_clean = self.is_reset = never  # type: ignore[method-assign,assignment]
        elif not ends_as_psycopg:
            self.is_clean = self.is_clean_by_call  # type: ignore[method-assign]

    def serve(self, pool: Any) -> None:
        """Become this pool's driver."""
        self.pool = weakref.ref(pool)

    def __getstate__(self) -> dict[str, Any]:
        names = ("conninfo", "kwargs", "connection_class", "on_configure", "on_check", "on_reset", "settings")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state.values())  # type: ignore[misc]

    def is_clean(self, c: Any) -> bool:
        """Whether ``c`` is in no transaction, so that there is nothing to commit and nothing to reset."""
        idle: bool = c.pgconn.transaction_status == IDLE
        return idle and getattr(c, "_tpc", None) is None

    def is_reset(self, c: Any) -> bool:
        """Whether reset() has nothing to do on ``c``: the same question, where no function of the user's is called."""
        idle: bool = c.pgconn.transaction_status == IDLE
        return idle and getattr(c, "_tpc", None) is None

    def is_clean_by_call(self, c: Any) -> bool:
        """The answer for connections that end a block in a way of their own, which has to be called."""
        return False

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Keep the connection after a nested block, whatever ended it: the outer block decides."""
        return True

    # ---- shared steps

    def arguments(self, kwargs: dict[str, Any] | None, server: Any, timeout: float | None) -> dict[str, Any]:
        """The keyword arguments of one connect."""
        kwargs = kwargs or {}
        if server is not None:
            kwargs = {**kwargs, "host": server[0], "port": server[1]}
        if timeout is not None:
            kwargs = {**kwargs, "connect_timeout": max(round(timeout), 1)}
        return kwargs

    def begin_life(self, c: Any, began: float) -> None:
        """Count a new connection, and make it this pool's."""
        self.counters.connections_ms += int(1000.0 * (time.monotonic() - began))
        c._pool = self.pool()
        c._created_at = time.monotonic()

    def see_configured(self, c: Any) -> None:
        """ProgrammingError if the configure function left a transaction open."""
        if (status := TransactionStatus(c.pgconn.transaction_status)) != IDLE:
            raise ProgrammingError(
                f"connection left in status {status.name} by configure function {self.on_configure}: discarded"
            )

    def see_reset(self, c: Any) -> None:
        """ProgrammingError if the reset function left a transaction open."""
        if (status := TransactionStatus(c.pgconn.transaction_status)) != IDLE:
            raise ProgrammingError(
                f"connection left in status {status.name} by reset function {self.on_reset}: discarded"
            )

    def see_returned(self, c: Any) -> None:
        """Unfit for a connection that came back closed."""
        if c.pgconn.transaction_status == UNKNOWN:
            self.counters.returns_bad += 1
            logger.warning("discarding closed connection: %s", c)
            raise Unfit
        if getattr(c, "_tpc", None) is not None:
            logger.warning("discarding connection left in a two-phase transaction: %s", c)
            raise Unfit

    def log_broken(self, event: Any) -> None:
        """Log that an idle connection was found dead: a warning, unless a ``check`` of the user's looks for that."""
        if event.reason in ("dead", "desync"):
            if self.on_check is None or self.checking:
                logger.warning("discarding broken connection: %s", event.connection)
            else:
                logger.info("not serving connection found broken: %s", event.connection)

    def rest(self, c: Any, timeout: float | None) -> float:
        """How long to pause after a failed check of ``c``, in seconds: a new one that fails would fail again."""
        if time.monotonic() - c._created_at > YOUNG_S:
            return 0.0
        return 0.25 if timeout is None else min(0.25, timeout)


class PsycopgDriver(BaseDriver):
    """Opens, checks, finishes and resets synchronous connections."""

    exits = (Connection, ("__exit__", "commit"))

    def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection, and tell it its slot."""
        c = self.connect(server, timeout)
        c._entry = entry
        return c

    def connect(self, server: Any, timeout: float | None) -> Any:
        """Open and configure a connection."""
        counters = self.counters
        counters.connections_num += 1
        conninfo = self.conninfo() if callable(self.conninfo) else self.conninfo or ""
        kwargs = self.kwargs() if callable(self.kwargs) else self.kwargs
        began = time.monotonic()
        try:
            c = self._pooled_class.connect(conninfo, **self.arguments(kwargs, server, timeout))
        except Exception:
            counters.connections_errors += 1
            raise
        self.begin_life(c, began)
        try:
            if self.on_configure is not None:
                self.on_configure(c)
                self.see_configured(c)
        except BaseException:
            self.close(c)
            raise
        return c

    def close(self, c: Any) -> None:
        """Close ``c`` for good, also where ``close_returns`` makes its close() return it."""
        c._pool = None
        c.close()

    def check(self, c: Any, timeout: float | None) -> bool:
        """Call the user's check; one that raises means dead."""
        if self.on_check is None:
            return True
        try:
            self.on_check(c)
        except Exception as error:
            logger.info("connection failed check: %s", error)
            pause(self.rest(c, timeout))
            return False
        return True

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

    def reset(self, c: Any) -> None:
        """Roll back what was left open, and call the user's reset. Raises for a connection that is to be closed."""
        status = c.pgconn.transaction_status
        if status == IDLE:
            if self.is_reset(c):
                return
        elif status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            logger.warning("rolling back returned connection: %s", c)
            try:
                c.rollback()
            except Exception as error:
                kind = type(error).__name__
                logger.warning("rollback failed: %s: %s. Discarding connection %s", kind, error, c)
                self.close(c)
        elif status == TransactionStatus.ACTIVE:
            logger.warning("closing returned connection: %s", c)
            self.close(c)
        if self.on_reset is not None and c.pgconn.transaction_status != UNKNOWN and self.wants_reset():
            try:
                self.on_reset(c)
                self.see_reset(c)
            except Exception as error:
                logger.warning("error resetting connection: %s", error)
                self.close(c)
        self.see_returned(c)

    def wants_reset(self) -> bool:
        """Whether the connection goes to another caller."""
        return True


def never(_: Any) -> bool:
    """Say no."""
    return False


def check_connection(conn: Connection[Any]) -> None:
    """Send an empty query; raises what psycopg raises if that fails."""
    if conn.autocommit:
        conn.execute("")
        return
    conn.autocommit = True
    try:
        conn.execute("")
    finally:
        try:
            conn.autocommit = False
        except Exception:
            pass  # it is closed, and the caller gets to know why
