"""socketpool.ConnectionPool, replaced."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from types import ModuleType
from typing import Any
from weakref import proxy

from ..._config import Config
from ..._core import AsyncLease, Lease, Selection
from ..._keeper.keeper import needs_keeping
from ..._light.log import logger
from ..._pool import Pool
from .arguments import checked, seconds_or_forever
from .conn import matcher
from .driver import ConnectorDriver, age_of
from .errors import MaxConnectionsError, MaxTriesError
from .told import Told

__all__ = ["ConnectionPool", "MaxConnectionsError", "MaxTriesError"]


# super() costs as much as what it finds here
_checkout, _connection, _checkin = Pool.checkout, Pool.connection, Pool.checkin


class ConnectionPool(Pool[Any], Told):
    """A pool of connectors, which need not be alike: ``get(**options)`` gives one that ``matches(**options)``.

    ``factory(**options)`` makes a connector, with ``backend_mod`` and ``pool`` among the options; it is tried
    ``retry_max`` times, ``retry_delay`` seconds apart. ``timeout``: seconds that a checkout may take, -1 or None for no
    limit. ``max_lifetime``: seconds. ``max_size``: most connectors that are open at once. ``options``: go to every call
    of the factory, and override those of the checkout. ``reap_connections``: close idle connectors that are too old,
    every ``reap_delay`` seconds. ``backend``: a name (thread, gevent, eventlet, or a module's dotted one), or a module.

    Options of :class:`fastpool.Pool` are taken by their names; ``check_after`` is 0 here, so every connector is looked
    at before it is handed out. TypeError or ValueError for a bad argument, ImportError for an unknown backend.
    """

    driver: ConnectorDriver

    def __init__(
        self,
        factory: Callable[..., Any],
        retry_max: int = 3,
        retry_delay: float = 0.1,
        timeout: float | None = -1,
        max_lifetime: float | None = 600.0,
        max_size: int = 10,
        options: dict[str, Any] | None = None,
        reap_connections: bool = True,
        reap_delay: float = 1,
        backend: str | ModuleType = "thread",
        **pool_options: Any,
    ) -> None:
        driver = ConnectorDriver(
            checked("factory", factory),
            dict(checked("options", options) or {}),
            checked("retry_max", retry_max),
            checked("retry_delay", retry_delay),
            max_lifetime,
            checked("reap_delay", reap_delay),
            bool(checked("reap_connections", reap_connections)),
            backend,
        )
        given: dict[str, Any] = {"check_after": 0, **pool_options}
        if isinstance(max_size, int):
            given.setdefault("max_connecting", max(max_size, 1))
        try:
            super().__init__(driver=driver, max_size=max_size, timeout=seconds_or_forever(timeout), **given)
        except BaseException:
            self.stop_reaper()
            raise

    def _start(self, driver: Any, config: Config) -> None:
        driver.use(driver.backend_mod, self, config.servers is not None)
        self._reaper: Any = None
        self._reaping = False
        super()._start(driver, config)
        self._selected: tuple[dict[str, Any], Any] = ({}, self._selection({}))
        if driver.reaps:
            self.start_reaper()

    def _configure(self, config: Config) -> None:
        super()._configure(config.replaced(max_lifetime=self.driver.max_lifetime))
        self.config = config  # without the lifetime: the reaper closes old connectors, not the keeper
        self.needs_keeper = needs_keeping(config)

    # ---- checkout and checkin

    def get(self, **options: Any) -> Any:
        """Check out a connector that matches; return it with ``release_connection``.

        It is an idle one, or a new one if there is room. In a full pool, the connector idle longest is closed to make
        room; if none is idle, the caller waits. MaxConnectionsError after ``timeout``; MaxTriesError, or the factory's
        own error, if none can be made.
        """
        selected = self._selected
        return _checkout(self, selected[1] if options == selected[0] else self._select(options))

    def connection(self, selection: Any = None, /, **options: Any) -> Lease[Any]:
        """Give a ``with`` block a connector that matches; otherwise as ``get``.

        An exception that leaves the block is told to ``handle_exception`` and goes on; the connector stays in the pool
        if it is still connected.
        """
        if selection is None:
            selected = self._selected
            selection = selected[1] if options == selected[0] else self._select(options)
        return _connection(self, selection)

    def checkout(self, timeout: Any = ..., **options: Any) -> Any:
        """Check out as ``get`` does, with a limit of its own for this checkout."""
        return _checkout(self, self._for(timeout, options))

    def aconnection(self, timeout: Any = ..., **options: Any) -> AsyncLease[Any]:
        """Give a task's ``async with`` block a connector that matches; it is made and asked in threads of the pool."""
        return super().aconnection(self._for(timeout, options))

    def release_connection(self, conn: Any) -> None:
        """Return a connector; it stays if it is connected and young enough. LeaseError if it is not out."""
        _checkin(self, conn, not self.driver.fit(conn))

    def _for(self, timeout: Any, options: dict[str, Any]) -> Any:  # a Selection, in the place of the timeout
        if isinstance(timeout, Selection):  # a block that is used as a decorator brings its own
            return timeout
        return self._select(options) if timeout is ... else self._selection(options, timeout)

    def _select(self, options: dict[str, Any]) -> Any:
        """The selection for these options, cached: the next caller often has the same options."""
        selected = self._selected
        if options != selected[0]:
            selected = self._selected = (options, self._selection(options))
        return selected[1]

    def _selection(self, options: dict[str, Any], timeout: Any = ...) -> Any:
        driver = self.driver
        request = driver.merged(options)
        # A proxy: a reference to the pool itself would keep a dropped pool alive until its cycles are collected.
        told = {**request, "backend_mod": driver.backend_mod, "pool": proxy(self)}
        if driver.has_servers:
            return Selection(lambda c: c.matches(**{**told, **driver.address_of(c)}), request, timeout)
        return Selection(matcher(driver.factory, told) or methodcaller("matches", **told), request, timeout)

    # ---- idle connectors

    @property
    def size(self) -> int:
        """How many connectors are idle."""
        return self._counts()[0]

    def too_old(self, conn: Any) -> bool:
        """Whether this connector's time is over."""
        return self.driver.too_old(conn)

    def release_all(self) -> None:
        """Close all idle connectors."""
        self._retire_idle("cleared", 0)

    def murder_connections(self) -> None:
        """Close the idle connectors whose time is over."""
        self._retire_idle("lifetime", 0)
        if any(map(self.driver.too_old, self.driver.idle())):
            self._keep_alive(0)  # a connector now reports an earlier beginning

    def start_reaper(self) -> None:
        """Have ``murder_connections`` called every ``reap_delay`` seconds."""
        self.stop_reaper()
        self._reaping = True
        self._reaper = self.driver.backend_mod.ConnectionReaper(self, delay=self.driver.reap_delay)
        self._reaper.ensure_started()

    def stop_reaper(self) -> None:
        """Stop the reaper: an old connector is then closed only when it is checked out or returned."""
        self._reaping = False
        stop = getattr(getattr(self, "_reaper", None), "stop", None)  # the user's own backend may have no such method
        if stop is not None:
            stop()

    def close(self, timeout: float | None = None) -> None:
        """Close the pool as ``fastpool.Pool.close`` does, and end its reaper."""
        self.stop_reaper()
        super().close(timeout)

    # ---- its parts

    def _murder_quietly(self) -> None:
        try:
            if not self.closed:
                self.murder_connections()
        except Exception as error:
            logger.warn_safely("pool %r: its reaper failed: %s", self.name, error, exc_info=error)

    def _draw_lifetime(self, limit_ns: int, c: Any) -> int:
        """The rest of the limit by the connector's own ``get_lifetime()``; without one, as in any pool."""
        age = age_of(c)
        return super()._draw_lifetime(limit_ns, c) if age is None else limit_ns - int(age * 1e9)

    def _forked(self) -> None:
        self.driver.entries = {}
        super()._forked()
        if self._reaping:
            self.start_reaper()  # the other one runs in the parent
