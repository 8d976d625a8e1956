"""How psycopg_pool's drop-ins open, check, finish and reset a psycopg connection."""

from __future__ import annotations

import logging
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, get_origin

from psycopg import ProgrammingError
from psycopg.pq import TransactionStatus

from ..._driver import Driver
from .errors import PoolClosed, PoolDeadlock, PoolTimeout, TooManyRequests, Unfit
from .pooled import pooled

if TYPE_CHECKING:
    from collections.abc import Callable

    from .steps import Steps

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
    resolved: Callable[[Any], Any]  # gives a value, or what it returns if it is callable; a task awaits it
    pause: Callable[[float], Any]  # sleeps; a task awaits it
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

    @staticmethod  # a bound method less at the end of each block
    def is_clean(c: Any) -> bool:
        """Whether ``c`` is in no transaction, so that there is nothing to commit and nothing to reset."""
        idle: bool = c.pgconn.transaction_status == IDLE
        return idle and getattr(c, "_tpc", None) is None

    @staticmethod
    def is_reset(c: Any) -> bool:
        """Whether reset() has nothing to do on ``c``: the same question, where no function of the user's is called."""
        idle: bool = c.pgconn.transaction_status == IDLE
        return idle and getattr(c, "_tpc", None) is None

    def is_clean_by_call(self, c: Any) -> bool:
        """The answer for connections that end a block in a way of their own, which has to be called."""
        return False

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Keep the connection after a nested block, whatever ended it: the outer block decides."""
        return True

    # ---- the steps of a connect, a check and a reset, for threads and tasks

    def connect_steps(self, server: Any, timeout: float | None) -> Steps[Any]:
        """Open and configure a connection."""
        counters = self.counters
        counters.connections_num += 1
        conninfo = (yield partial(self.resolved, self.conninfo)) or ""
        kwargs = yield partial(self.resolved, self.kwargs)
        began = time.monotonic()
        try:
            c = yield partial(self._pooled_class.connect, conninfo, **self.arguments(kwargs, server, timeout))
        except Exception:
            counters.connections_errors += 1
            raise
        self.begin_life(c, began)
        try:
            if self.on_configure is not None:
                yield partial(self.on_configure, c)
                self.see_left_idle(c, "configure", self.on_configure)
        except BaseException:
            yield partial(self.close, c)
            raise
        return c

    def check_steps(self, c: Any, timeout: float | None) -> Steps[bool]:
        """Call the user's check; one that raises means dead."""
        try:
            yield partial(self.on_check, c)
        except Exception as error:
            logger.info("connection failed check: %s", error)
            yield partial(self.pause, self.rest(c, timeout))
            return False
        return True

    def reset_steps(self, c: Any) -> Steps[None]:
        """Roll back what was left open, and call the user's reset. Raises for a connection that is to be closed."""
        status = c.pgconn.transaction_status
        if status == IDLE:
            if self.is_reset(c):
                return
        elif status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            logger.warning("rolling back returned connection: %s", c)
            try:
                yield c.rollback
            except Exception as error:
                kind = type(error).__name__
                logger.warning("rollback failed: %s: %s. Discarding connection %s", kind, error, c)
                yield partial(self.close, c)
        elif status == TransactionStatus.ACTIVE:
            logger.warning("closing returned connection: %s", c)
            yield partial(self.close, c)
        if self.on_reset is not None and c.pgconn.transaction_status != UNKNOWN:
            try:
                yield partial(self.on_reset, c)
                self.see_left_idle(c, "reset", self.on_reset)
            except Exception as error:
                logger.warning("error resetting connection: %s", error)
                yield partial(self.close, c)
        self.see_returned(c)

    # ---- parts of the steps

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

    def see_left_idle(self, c: Any, kind: str, function: Any) -> None:
        """ProgrammingError if the user's function of this kind left a transaction open."""
        if (status := TransactionStatus(c.pgconn.transaction_status)) != IDLE:
            raise ProgrammingError(f"connection left in status {status.name} by {kind} function {function}: discarded")

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


def never(_: Any) -> bool:
    """Say no."""
    return False


def probe_steps(conn: Any) -> Steps[None]:
    """Send an empty query; raises what psycopg raises if that fails."""
    if conn.autocommit:
        yield partial(conn.execute, "")
        return
    yield partial(conn.set_autocommit, True)
    try:
        yield partial(conn.execute, "")
    finally:
        try:
            yield partial(conn.set_autocommit, False)
        except Exception:
            pass  # it is closed, and the caller gets to know why
