"""The pools of several gateways as one pool: its life, its sizes and its figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Unpack

import happybase

from ..._connecting.without_traceback import without_traceback
from ..._core import Cell, clock, deadline_after
from ..._pool import Pool
from ..._telemetry.events import Listeners
from .gateway_choice import all_refuse
from .gateway_pools import (
    RegionDriver,
    add_counts,
    add_histograms,
    heard_by_line,
    line_config,
    pool_of,
    share_of,
    shares,
)

if TYPE_CHECKING:
    from ..._config import Config
    from ..._errors import NoConnectionsAvailable
    from ..._options import PoolSizes
    from ..._servers import Server
    from ..._telemetry.stats import LeaseInfo
    from .pool import ConnectionPool


class JoinedPool(Pool[happybase.Connection]):
    """A ConnectionPool for each gateway, and before them one line in which all callers wait.

    The line is this pool itself: what it opens and lends are permits, as many as there may be connections.
    """

    driver: RegionDriver
    gateways: tuple[Server, ...]
    pools: tuple[ConnectionPool, ...]  # of each gateway, in the order given

    def _start(self, driver: Any, config: Config) -> None:
        self.gateways = driver.gateways
        self.pools = tuple(pool_of(config, driver, number) for number in range(len(driver.gateways)))
        for pool in self.pools:
            pool.has_alternatives = True  # to a caller in the line, another's wait at a gateway is no end
        self._unused = Cell(0)  # permits whose callers got no connection
        self._missed = Cell(0)  # those of them whose time was over
        super()._start(driver, config)
        self._set_listeners(Listeners(heard_by_line(config.listeners)))

    def _set_up(self, driver: Any, name: str, **flags: Any) -> None:
        # A checkout that need not wait is timed by its gateway's pool alone, not by the line as well.
        super()._set_up(driver, name, **{**flags, "timing": False})

    def _configure(self, config: Config) -> None:
        super()._configure(line_config(config))
        self.config = config

    # ---- life ----------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open ``min_size`` connections, at least one; AllServersUnavailable if no gateway can be reached.

        A gateway that is down is left out, and connected to when it is back.
        """
        first = not self.was_opened
        super().open()
        try:
            self._each(lambda pool: None if len(self) and not pool.config.min_size else pool.open())
        except BaseException:
            if first:
                self.was_opened = False
            raise

    def close(self, timeout: float | None = None) -> None:
        """Close the pool as ConnectionPool.close() does, within ``timeout`` seconds for all gateways together."""
        deadline = deadline_after(timeout)
        super().close()
        for pool in self.pools:
            pool.close()
        if timeout is not None:
            for pool in self.pools:
                pool.close(max(deadline - clock(), 0.0))

    def warm(self, n: int | None = None, timeout: float | None = None) -> int:
        """Open connections until ``n`` (default ``max_size``) are open, spread over the gateways; return how many are.

        ``timeout``: seconds to spend at most. AllServersUnavailable if no gateway can be reached.
        """
        deadline = deadline_after(timeout)
        goals = iter(shares(self.config.max_size if n is None else n, len(self.pools)))
        self._each(lambda pool: pool.warm(next(goals), None if timeout is None else max(deadline - clock(), 0.0)))
        return len(self)

    def resize(self, **sizes: Unpack[PoolSizes]) -> None:
        """Change the whole pool's sizes as ConnectionPool.resize() does; they are spread over the gateways.

        ``shared_max`` is each gateway's.
        """
        of_each: Any = {name: sizes.pop(name) for name in ("shared_max",) if name in sizes}
        config = self.config.resized(**sizes)
        parts = [{**share_of(config, number, len(self.pools)), **of_each} for number in range(len(self.pools))]
        for pool, part in zip(self.pools, parts, strict=True):
            pool.config.resized(**part)  # raises before anything has changed
        super().resize(**sizes)
        for pool, part in zip(self.pools, parts, strict=True):
            pool.resize(**part)
        self.driver.shared = {**self.driver.shared, **of_each}

    def clear(self, reason: str | None = None) -> None:
        """Replace all connections of now: idle ones at once, leased ones when they come back."""
        self._tell("pool_cleared", reason=reason)
        for pool in self.pools:
            pool.clear(reason)

    def _least(self) -> int:
        return 0  # permits

    def _each(self, act: Callable[[ConnectionPool], object]) -> None:
        """Act on the pool of each gateway; AllServersUnavailable if each of them fails."""
        errors: dict[int, BaseException] = {}
        for number, pool in enumerate(self.pools):
            try:
                act(pool)
            except Exception as error:
                if self.closed:
                    raise
                errors[number] = without_traceback(error)
        if len(errors) == len(self.pools):
            raise all_refuse(self.gateways, errors)

    # ---- figures -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return sum(map(len, self.pools))

    def leases(self) -> list[LeaseInfo]:
        """The leases, with holders and ages: one for each connection that is out; ``server`` is its gateway."""
        return [lease for pool in self.pools for lease in pool.leases()]

    def _counts(self) -> tuple[Any, ...]:
        of_gateways = [pool._counts() for pool in self.pools]
        return add_counts(super()._counts(), of_gateways, self._unused.value, self._missed.value)

    def _histogram(self, which: str) -> tuple[int, int, int, list[int]]:
        parts = [pool._histogram(which) for pool in self.pools]
        return add_histograms([*parts, super()._histogram(which)] if which == "wait" else parts)

    def _exhausted(self, phase: str, waited: float, steps: list[Any] | None) -> NoConnectionsAvailable:
        error = super()._exhausted(phase, waited, steps)
        error.holders = tuple(self.leases())
        return error

    def _out_of_time(self, waited: float, refusal: BaseException | None) -> NoConnectionsAvailable:
        """The error of a caller that had a permit, but got no connection; ``refusal``: of a gateway, if one did."""
        _add_one(self._missed)
        if refusal is not None:
            self.connector.last_error = refusal
        return self._exhausted("wait" if refusal is None else "connect", waited, None)

    def _note_unused(self) -> None:
        """A permit comes back without its caller having had a connection: that was no checkout."""
        _add_one(self._unused)

    # The gateways' pools report the connections that nobody can return any more; their permits are no news.

    def _report_lost(self, lost: list[Any]) -> None:
        pass

    def _report_dropped(self) -> None:
        self.lost.clear()


def _add_one(cell: Cell[int]) -> None:
    while not cell.replace(count := cell.value, count + 1):
        pass
