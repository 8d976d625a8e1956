"""The base of psycopg_pool's four drop-ins: settings, sizes, figures."""

from __future__ import annotations

import logging
import time
import warnings
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from ..._base import BasePool
from ..._core import REASONS, Core
from ..._telemetry.events import Listeners
from ..._telemetry.report import exhausted
from .arguments import checked_sizes
from .base import jitter
from .errors import NotReturnable, PoolClosed, PoolTimeout, Unfit
from .settings import Settings

if TYPE_CHECKING:
    from ..._config import Config
    from ..._errors import NoConnectionsAvailable
    from .driver_shared import BaseDriver
    from .filler_shared import BaseFiller
    from .steps import Steps

logger = logging.getLogger("psycopg.pool")

_NAP_S = 0.001
_LOST = tuple(REASONS.index(reason) for reason in ("dead", "desync"))


class SharedPool(Settings, Core[Any]):
    """The part of a drop-in that is the same for threads and tasks, with and without connections kept open."""

    callers_connect = False
    config: Config
    filler: BaseFiller
    before_use: Any
    close: Any

    # ---- the making of it

    def _begin(self, driver: BaseDriver) -> None:
        """Set what the pool has beside its options, before anything is opened."""
        settings = driver.settings
        self.reference = weakref.ref(self)
        driver.serve(self)
        self.psycopg = driver
        self._min_size: int = settings["min_size"]
        self._max_size: int = settings["max_size"]
        self.num_workers: int = settings["num_workers"]
        self.close_returns: bool = settings["close_returns"]
        self.max_idle: float = settings["max_idle"]
        self.reconnect_timeout: float = settings["reconnect_timeout"]
        self.first_pause, self.longest_pause = settings["pauses"]
        self._opened = self._open_implicit = False
        self._wait_errors_ms = 0.0
        self._popped: dict[str, int] = {}
        self.before_use = self._refuser()

    def _refuser(self) -> Any:
        """The function to call before a checkout until the pool is open, and again once it is closed."""
        reference = weakref.ref(self)

        def refuse() -> None:
            pool = reference()
            if pool is not None:
                pool._check_open_getconn()

        return refuse

    def _hear_waiters(self) -> None:
        own = {"wait_started": self.filler.waiting, "closed_connection": self.psycopg.log_broken}
        self._set_listeners(Listeners((*self.config.listeners, own)))

    def _check_open_getconn(self) -> None:
        """PoolClosed unless the pool is open. Warns once of a pool that its constructor opened without being asked."""
        if self.closed:
            raise PoolClosed(f"the pool {self.name!r} is {'already closed' if self._opened else 'not open yet'}")
        self.before_use = None
        if self._open_implicit:
            self._open_implicit = False
            self._warn_implicit()

    def _warn_implicit(self) -> None:
        kind = type(self).__name__
        warnings.warn(
            f"the default for the {kind} 'open' parameter will become 'False' in a future release. Please use "
            f"open={{True|False}} explicitly, or use the pool as context manager using: "
            f"`with {kind}(...) as pool: ...`",
            DeprecationWarning,
            stacklevel=4,
        )

    def _open_in_constructor(self) -> None:
        wanted = self.psycopg.settings["open"]
        self._open_implicit = wanted is None
        if wanted is None or wanted:
            self._mark_open()

    def _mark_open(self) -> None:
        """The pool is open from now on; PoolClosed if it was closed before."""
        if self._opened:
            raise PoolClosed(f"pool {self.name!r} has already been opened/closed and cannot be reused")
        self._opened = self.was_opened = True
        self.opened_at = time.monotonic()
        if not self._open_implicit:
            self.before_use = None
        self._tell("pool_opened")
        self._go_on_keeping()  # type: ignore[attr-defined]
        self._fill_at_first()

    def _fill_at_first(self) -> None:
        self.filler.want()

    def _wait_steps(self, timeout: float) -> Steps[None]:
        """Wait until ``min_size`` connections are idle; after ``timeout`` seconds the pool is closed: PoolTimeout."""
        if self.available >= self._min_size:
            return
        logger.info("waiting for pool %r initialization", self.name)
        until = time.monotonic() + timeout
        with self.filler.hurried():
            while self.available < self._min_size:
                if time.monotonic() >= until:
                    yield self.close
                    raise PoolTimeout(f"pool initialization incomplete after {timeout} sec")
                yield partial(self.psycopg.pause, _NAP_S)
        logger.info("pool %r is ready to use", self.name)

    def _mark_closed(self) -> None:
        """Checkouts are refused from now on."""
        logger.debug("pool %r closed", self.name)
        self.before_use = self._refuser()

    # ---- sizes

    @property
    def closed(self) -> bool:
        """Whether the pool is closed, or has not been opened yet."""
        return not self._opened or super().closed

    @property
    def min_size(self) -> int:
        """The number of connections that are kept open."""
        return self._min_size

    @property
    def max_size(self) -> int:
        """The most connections that are open at once; 0: no limit (of a null pool)."""
        return self._max_size

    @staticmethod
    def _check_size(min_size: int, max_size: int | None) -> tuple[int, int]:
        return checked_sizes(min_size, max_size)

    def _resize(self, min_size: int, max_size: int | None) -> dict[str, int]:
        """Note the sizes, and give those of :class:`fastpool.Pool`: what is too many is closed bit by bit."""
        self._min_size, self._max_size = self._check_size(min_size, max_size)
        logger.info("resizing %r to min_size=%s max_size=%s", self.name, self._min_size, self._max_size)
        return {"max_size": max(self._max_size, len(self))}

    def shrink(self, unused: int) -> None:
        """Close one idle connection; ``unused``: how many were idle since the last time."""
        if self._retire_idle("max_idle", max(len(self) - 1, self._min_size)):
            text = "shrinking pool %r to %s because %s unused connections in the last %s sec"
            logger.info(text, self.name, self._nconns, unused, self.max_idle)
        if self.config.max_size > self._max_size:  # it was made smaller
            BasePool.resize(self, max_size=max(self._max_size, len(self)))  # type: ignore[arg-type]

    # ---- what it says of itself

    def get_stats(self) -> dict[str, int]:
        """Figures by psycopg_pool's names: those of now, and totals since the pool was made or since pop_stats()."""
        popped = self._popped
        counted = self._counted()
        return {**{name: total - popped.get(name, 0) for name, total in counted.items()}, **self._measured()}

    def pop_stats(self) -> dict[str, int]:
        """As get_stats(), and begin to count anew."""
        counted = self._counted()
        popped, self._popped = self._popped, counted
        return {**{name: total - popped.get(name, 0) for name, total in counted.items()}, **self._measured()}

    def _counted(self) -> dict[str, int]:
        _, _, _, _, checkouts, _, totals, closed = self._counts()
        waits, timeouts, rejected, cancelled, *_ = totals
        errors = timeouts + rejected + cancelled
        return {
            "requests_num": checkouts + errors,
            "requests_queued": waits,
            "requests_wait_ms": int(self._histogram("wait")[1] / 1e6 + self._wait_errors_ms),
            "requests_errors": errors,
            "usage_ms": self._held_ns // 1_000_000,
            **vars(self.psycopg.counters),
            "connections_lost": sum(closed[reason] for reason in _LOST),
        }

    def _measured(self) -> dict[str, int]:
        return {
            "pool_min": self._min_size,
            "pool_max": self._max_size,
            "pool_size": self._nconns,
            "pool_available": self.available,
            "requests_waiting": self._queued,
        }

    @property
    def available(self) -> int:
        """How many connections are idle."""
        return self._counts()[0]

    @property
    def has_waiters(self) -> bool:
        """Whether somebody waits for a connection."""
        return self._queued > 0

    # psycopg_pool's own names, which its users look at in a debugger

    _sched_runner = None  # there is no thread that is always there
    _workers: tuple[()] = ()

    @property
    def _nconns(self) -> int:
        return len(self) + self.filler.pursued

    @property
    def _pool(self) -> list[Any]:
        return self._idle_connections()

    @property
    def _waiting(self) -> range:
        return range(self._queued)

    @classmethod
    def _jitter(cls, value: float, min_pc: float, max_pc: float) -> float:
        return jitter(value, min_pc, max_pc)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__} {self.name!r} at 0x{id(self):x}>"

    # ---- what the core asks for

    def _exhausted(self, phase: str, waited: float, steps: list[Any] | None) -> NoConnectionsAvailable:
        if steps is not None:
            return exhausted(self, phase, waited, steps)
        if phase == "wait":
            self._wait_errors_ms += waited * 1e3
        return exhausted(self, phase, waited, None, f"couldn't get a connection after {waited:.2f} sec")

    def _draw_lifetime(self, limit_ns: int, c: Any) -> int:
        """Up to 5 % less than the limit, drawn once, as psycopg_pool does."""
        limit = int(jitter(limit_ns, -0.05, 0.0))
        c._expire_at = time.monotonic() + limit / 1e9
        return limit

    def _log_driver_error(self, what: str, error: BaseException) -> None:
        if not isinstance(error, Unfit):  # that was logged
            super()._log_driver_error(what, error)  # type: ignore[misc]

    def _forked(self) -> None:
        self.filler = self._new_filler()  # the other's threads and tasks run in the parent
        self._hear_waiters()
        super()._forked()  # type: ignore[misc]
        if not self.closed:
            self._fill_at_first()

    def _new_filler(self) -> Any:
        raise NotImplementedError

    def _capacity_lost(self) -> None:
        super()._capacity_lost()  # type: ignore[misc]
        self.filler.ask()

    def _putconn_refused(self, conn: Any, error: Exception) -> None:
        """Tell why a connection cannot be returned here."""
        reference = getattr(conn, "_reference", None)  # also of one that is not out
        pool = getattr(conn, "_pool", None) if reference is None else reference()
        if pool is self:
            why = str(error)
        elif pool is not None:
            why = f"it comes from pool {pool.name!r}"
        else:
            why = "it doesn't come from any pool"
        raise NotReturnable(f"can't return connection to pool {self.name!r}, {why}: {conn}") from None
