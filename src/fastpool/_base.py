"""BasePool: what a Pool and an AsyncPool share."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Mapping

from . import _registry as registry
from ._config import Config
from ._connecting.connector import Connector
from ._core import Core, clock, rebind, seconds_to_ns
from ._driver import CallableDriver, Driver, ends_blocks, overrides
from ._errors import NoConnectionsAvailable
from ._keeper.keeper import keeper, needs_keeping
from ._light.hints import TYPE_CHECKING, Any, C, Unpack
from ._light.log import logger
from ._servers import normalise_server
from ._telemetry.events import Listeners
from ._telemetry.report import exhausted, holders_of, look_for_ended_owners, report_dropped, report_lost, stats_of
from ._telemetry.stats import LeaseInfo, Stats

if TYPE_CHECKING:
    from ._core import Checkout
    from ._keeper.kept_pool import KeptPool
    from ._options import PoolSizes
    from ._shared.sharing import Share

_JOINING = -1  # in `staff`: a thread takes a row of the shared name's page
_numbers = itertools.count(1)
_HOT = ("connection", "aconnection", "checkout", "checkin")


class BasePool(Core[C]):
    """The operations of a pool that never wait; its subclasses open, close and check out."""

    config: Config
    connector: Connector
    listeners: Listeners
    keeping: KeptPool | None
    share: Share | None
    # False: no caller opens a connection for itself; they wait in line for what the pool opens in the background.
    callers_connect = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        rebind(cls, *_HOT)

    def __init__(
        self,
        connect: Callable[..., Any] | None = None,
        *,
        driver: Driver | None = None,
        close: Callable[[Any], Any] | None = None,
        check: Callable[..., bool] | None = None,
        reset: Callable[[Any], Any] | None = None,
        fileno: Callable[[Any], int] | None = None,
        keep_on: tuple[type[BaseException], ...] = (),
        **options: Any,
    ) -> None:
        parts: dict[str, Any] = {"close": close, "check": check, "reset": reset, "fileno": fileno}
        given = [name for name, value in parts.items() if value is not None] + (["keep_on"] if keep_on else [])
        if driver is None:
            if connect is None:
                raise TypeError("Pool() needs connect, a callable that opens a connection, or driver=")
            driver = CallableDriver(connect, **parts, keep_on=keep_on, with_server=options.get("servers") is not None)
        elif connect is not None or given:
            raise TypeError(
                f"driver= says all about a connection: {', '.join(given) or 'connect'} cannot be given, too"
            )
        elif not isinstance(driver, Driver):
            hint = " (an instance, not the class)" if isinstance(driver, type) else ""
            raise TypeError(f"driver must be a fastpool.Driver{hint}, not {driver!r}")
        config = Config.build(**options)
        if config.name is None:
            config = config.replaced(name=f"pool-{next(_numbers)}")
        self._start(driver, config)
        self._open_in_constructor()

    def _start(self, driver: Driver, config: Config) -> None:
        logger.find()
        checks, resets, descriptors = self._overrides(driver)
        self._set_up(
            driver,
            config.name or "pool",
            oldest_first=config.order == "fifo",
            nested=config.nested,
            timing=config.timing,
            reclaim=config.reclaim,
            collect_garbage=config.collect_garbage,
            tracks_calls=driver.tracks_calls,
            lazy_timeout=driver.tracks_calls,
            has_check=checks,
            has_reset=resets and not driver.tracks_calls,
            has_probe=descriptors,
            may_probe=not descriptors,
            ends_blocks=self._ends_blocks(driver),
        )
        self.connector = Connector(driver, config, registry.weak_notifier(self), clock)
        self._set_listeners(Listeners(config.listeners))
        self._configure(config)
        self._join_shared()
        registry.register(self)

    @staticmethod
    def _overrides(driver: Driver) -> tuple[bool, bool, bool]:
        return overrides(driver)

    @staticmethod
    def _ends_blocks(driver: Driver) -> bool:
        return ends_blocks(driver)

    def _open_in_constructor(self) -> None:
        """Open what the constructor opens: nothing, where connections are opened in an event loop."""

    def _least(self) -> int:
        """How many connections are open when ``open()`` returns."""
        return self.config.min_size

    def _configure(self, config: Config) -> None:
        self.config = config
        self.needs_keeper = needs_keeping(config)
        self._set_times(
            seconds_to_ns("timeout", config.timeout),
            seconds_to_ns("check_after", config.check_after),
            seconds_to_ns("idle_timeout", config.idle_timeout),
            seconds_to_ns("max_lifetime", config.max_lifetime),
            config.max_uses or 0,
            -1 if config.max_waiting is None else config.max_waiting,
            seconds_to_ns("check_timeout", config.check_timeout),
        )
        self._set_sizes(
            config.max_size,
            config.max_overflow,
            -1 if config.max_idle is None else config.max_idle,
            config.max_connecting if self.callers_connect else 0,
        )

    # ---- size ---------------------------------------------------------------------------------------------------

    def resize(self, **sizes: Unpack[PoolSizes]) -> None:
        """Change ``min_size``, ``max_size``, ``max_overflow`` or ``max_idle`` while the pool is in use.

        Downwards, too, while all are leased: what is too many is closed when it comes back.
        """
        self._configure(self.config.resized(**sizes))
        config = self.config
        if self.share is not None and "shared_max" in sizes:
            self.share.member.cap = config.shared_max
        self._retire_idle("resized", config.max_size)
        if config.max_idle is not None:
            self._retire_idle("max_idle", config.min_size)
        if self.was_opened:
            self._go_on_keeping()
            if not self.needs_keeper:
                self._end_keeping()

    def clear(self, reason: str | None = None) -> None:
        """Replace all connections of now: idle ones at once, leased ones when they come back."""
        self._make_stale()
        self._tell("pool_cleared", reason=reason)
        self._capacity_lost()

    # ---- what it says of itself ------------------------------------------------------------------------------------

    def stats(self) -> Stats:
        """A snapshot, taken without a lock."""
        return stats_of(self)

    def leases(self) -> list[LeaseInfo]:
        """The present leases with their holders and ages: one entry for each connection that is leased."""
        return holders_of(self)

    def __repr__(self) -> str:
        idle, leased, connecting, waiting, *_ = self._counts()
        parts = [f"{leased} leased", f"{idle} idle"]
        if connecting:
            parts.append(f"{connecting} connecting")
        parts += [f"{waiting} waiting", f"max {self.config.max_size}" if self.config else "not set up"]
        if self.closed:
            parts.append("closed")
        return f"<fastpool.{type(self).__name__} {self.name!r} {', '.join(parts)}>"

    def __bool__(self) -> bool:
        return True  # a pool without open connections is still a pool

    def __reduce__(self) -> tuple[Any, ...]:
        return registry.pack(self)

    # ---- its shared name ---------------------------------------------------------------------------------------------

    def _join_shared(self, again: bool = False) -> None:
        """Have a row in the page of the shared name; ``again``: another cap was set meanwhile, which is right."""
        name = self.config.shared
        if name is None or self.closed:
            return
        from ._shared.sharing import Share

        # After a fork several threads may come here at once, and a second row would keep the permits of the first.
        me = object()
        if self.staff.setdefault(_JOINING, me) is not me:
            return  # another thread joins, and serves those that wait when it has
        try:
            if again and self.share is not None:
                return
            share = Share(self, name, self.config.shared_max, again)
            try:
                share.start()
            except BaseException:
                share.leave()
                raise
            self.share = share
        finally:
            self.staff.pop(_JOINING, None)

    def _leave_shared(self) -> None:
        """The pool is closed: its row is free as soon as all its connections are closed."""
        if self.share is not None and not self.share.member.holding:
            self.share.leave()

    @property
    def _is_short_of_permits(self) -> bool:
        """Whether no connection can be opened now because of other processes."""
        return self.share is not None and self.share.member.nothing_free

    def _drop_descriptor(self, c: Any) -> None:
        """In a forked child: close this process's copy of the parent's descriptor, without a word on the wire.

        The server would see the connection open for as long as the child lives. A descriptor of the null device takes
        the place, for whatever the connection's finalizer may do with it.
        """
        try:
            fd = self.driver.fileno(c)
        except Exception:
            return
        if isinstance(fd, int) and fd > 2:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.dup2(null, fd, inheritable=False)
            finally:
                os.close(null)

    # ---- what the core asks for ------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        def _go_on_connecting(self, checkout: Checkout) -> None: ...

    def _exhausted(self, phase: str, waited: float, steps: list[Any] | None) -> NoConnectionsAvailable:
        return exhausted(self, phase, waited, steps)

    def _report_lost(self, lost: list[Any]) -> None:
        report_lost(self, lost)

    def _report_dropped(self) -> None:
        report_dropped(self)

    def _look_for_ended_owners(self) -> None:
        look_for_ended_owners(self)

    def _leased_by_server(self) -> Mapping[Any, int]:
        leased = Counter(lease[1] for lease in self._leases())
        if self.share is not None:
            for server, count in self.share.leased_elsewhere().items():
                leased[normalise_server(server)] += count
        return leased

    def _draw_lifetime(self, limit_ns: int, c: Any) -> int:
        """Up to a quarter less, drawn once per connection, so that those born together do not die together."""
        return int(limit_ns * (1 - self.connector.health.draw() / 4))

    def _log_driver_error(self, what: str, error: BaseException) -> None:
        logger.warning(
            "pool %r: %s of a connection failed: %s: %s", self.name, what, type(error).__name__, error, exc_info=error
        )

    def _capacity_lost(self) -> None:
        if self.keeping is not None:
            self.keeping.soon()
        self._report_dropped()

    def _first_use(self) -> None:
        """The first connection is about to be opened, and nobody has called ``open()``."""
        self.was_opened = True
        self._tell("pool_opened")
        self._go_on_keeping()

    def _forked(self) -> None:
        self.connector.reset_after_fork()
        self.keeping = None
        self.share = None  # the parent's, and so is the staff
        self.staff = {}
        self._join_shared(again=True)
        if self.was_opened:
            self._go_on_keeping()

    def _keep(self) -> None:
        """Be looked after, if the options ask for it; RuntimeError if the keeper's thread cannot be started."""
        if self.needs_keeper and not self.closed:
            if self.share is None:
                self._join_shared(again=True)  # it could not be joined after a fork
            if self.share is not None:
                self.share.start()
            self.keeping = keeper.look_after(self)

    def _end_keeping(self) -> None:
        keeper.forget(self)
        self.keeping = None

    def _begin_anew(self) -> bool:
        """Be as before the first use: nothing is opened ahead of the next one. Returns whether the pool was in use."""
        first, self.was_opened = self.was_opened, False
        self._end_keeping()
        return first

    def _go_on_keeping(self) -> None:
        """Be looked after if that can be had. The core asks again in each checkout that cannot be had at once."""
        try:
            self._keep()
        except Exception as error:
            keeper.not_started(error)
