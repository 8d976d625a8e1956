"""psycopg_pool.NullConnectionPool, replaced: a pool that keeps no connection, before a pooler such as pgbouncer."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg.errors import ConnectionTimeout

from .arguments import UNLIMITED, checked_null_sizes
from .driver import PsycopgDriver
from .driver_shared import UNKNOWN, BaseDriver
from .errors import PoolTimeout, Unfit
from .hints import CT
from .pool import ConnectionPool
from .shared import SharedPool
from .steps import called

if TYPE_CHECKING:
    from ..._core import Checkout
    from .steps import Steps


class NullPool(SharedPool):
    """The base of the null pools: a caller opens its own connection, which goes to the first in line or is closed."""

    callers_connect = True
    null = True

    @staticmethod
    def _check_size(min_size: int, max_size: int | None) -> tuple[int, int]:
        return checked_null_sizes(min_size, max_size)

    def _resize(self, min_size: int, max_size: int | None) -> dict[str, int]:
        sizes = super()._resize(min_size, max_size)
        size = sizes["max_size"]
        self.config = self.config.replaced(max_connecting=size or UNLIMITED)
        return {"max_size": size or 1, "max_overflow": 0 if size else -1}

    def _fill_at_first(self) -> None:
        self.filler.stopped = True  # nothing is opened ahead of use

    def _wait_steps(self, timeout: float) -> Steps[None]:
        """Open one connection, and close it; PoolTimeout, and the pool is closed, after ``timeout`` seconds."""
        attempts = self.filler.attempts(self)
        until = time.monotonic() + timeout
        while True:
            left = until - time.monotonic()
            try:
                yield partial(self._connect_once, max(left, 0))
                return
            except Exception as error:
                attempts.failed(self.name, error)
            left = until - time.monotonic()
            if left <= 0:
                yield self.close
                raise PoolTimeout(f"pool initialization incomplete after {timeout} sec")
            yield partial(self.psycopg.pause, min(attempts.due(True), left))

    def _connect_once(self, timeout: float) -> Any:
        """Open a connection, without the user's check, and close it."""
        raise NotImplementedError

    def _go_on_connecting(self, checkout: Checkout) -> None:
        checkout.dropped()  # nobody keeps a connection that comes too late

    def _counted(self) -> dict[str, int]:
        counted = super()._counted()
        refused = self._counts()[6][5]  # connects that failed, each of which was a request
        counted["requests_num"] += refused
        return counted


class NullBaseDriver(BaseDriver):
    """Opens connections in the caller's time, and keeps those for which another caller waits."""

    closes_in_reset = False

    def connect_steps(self, server: Any, timeout: float | None) -> Steps[Any]:
        """Open, configure and check a connection."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                c = yield from super().connect_steps(server, timeout)
            except ConnectionTimeout as error:
                raise PoolTimeout(str(error)) from None
            if self.on_check is None or (yield from self.check_steps(c, timeout)):
                return c
            yield partial(self.close, c)
            if until is not None:
                timeout = until - time.monotonic()
                if timeout <= 0:
                    raise PoolTimeout("no connection passed the check in the time of the checkout")

    def reset_steps(self, c: Any) -> Steps[None]:
        """Make ``c`` fit for a caller that waits; without one it is closed. Raises for one that is to be closed."""
        if self.pool().has_waiters:
            yield from super().reset_steps(c)
            return
        if c.pgconn.transaction_status == UNKNOWN:
            self.counters.returns_bad += 1
        if self.closes_in_reset:
            yield partial(self.close, c)
        raise Unfit


class NullDriver(NullBaseDriver, PsycopgDriver):
    """The driver of synchronous connections."""


class NullConnectionPool(NullPool, ConnectionPool[CT]):
    """A ConnectionPool that keeps no idle connection: it bounds how many are open, if ``max_size`` is not 0.

    ``wait()`` opens one connection, and closes it.
    """

    driver_class = NullDriver

    def _connect_once(self, timeout: float) -> None:
        self.driver.close(called(BaseDriver.connect_steps(self.driver, None, timeout)))

    def check(self) -> None:
        """Do nothing: there are no idle connections."""
