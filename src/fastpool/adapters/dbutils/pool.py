"""PooledDB: DBUtils' pool, replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import getpid
from typing import TYPE_CHECKING, Any

from ..._config import Config
from ..._pool import Pool
from ..._version import __version__ as own_version
from . import arguments
from .creator import PING_FETCHED, ping_of, threadsafety_of
from .driver import SteadyDriver
from .pooled import PooledDedicatedDBConnection, PooledSharedDBConnection
from .steady import SteadyDBConnection

if TYPE_CHECKING:
    from .sharing import SharedDBConnection, Sharing

try:  # DBUtils' own version where it is installed: code may ask for it
    from dbutils import __version__ as __version__
except ImportError:
    __version__ = own_version

_checkout, _checkin = Pool.checkout, Pool.checkin  # super() costs as much as what it finds here


class PooledDB(Pool[SteadyDBConnection]):
    """A pool of steady DB-API connections.

    ``creator``: a function that opens a connection, or a DB-API module; it gets ``args`` and ``kwargs``. ``mincached``:
    how many are opened here. ``maxcached``: most that are kept unused. ``maxshared``: most that several callers use at
    once, if the module's threadsafety allows that. ``maxconnections``: most that are open. 0 or None is no limit.
    ``blocking``: wait where all are in use; else TooManyConnectionsError. ``maxusage``, ``setsession``, ``failures``,
    ``ping`` and ``isfatal`` are SteadyDBConnection's. ``reset``: roll back every connection that comes back, not only
    one on which ``begin()`` was called.

    Options of :class:`fastpool.Pool` are taken by their names, and do not reach the creator. TypeError or ValueError
    for a bad argument, NotSupportedError for a module that is not thread-safe.
    """

    version: str = __version__
    driver: SteadyDriver

    def __init__(
        self,
        creator: Any,
        mincached: int | None = 0,
        maxcached: int | None = 0,
        maxshared: int | None = 0,
        maxconnections: int | None = 0,
        blocking: Any = False,
        maxusage: int | None = None,
        setsession: Iterable[str] | None = None,
        reset: Any = True,
        failures: Any = None,
        ping: Any = 1,
        *args: Any,
        isfatal: Callable[[BaseException], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        level = threadsafety_of(creator)
        if not callable(getattr(creator, "connect", creator)):
            raise TypeError(f"creator must be a function that opens a connection, or a DB-API module, not {creator!r}")
        isfatal, args = arguments.split_isfatal(args, isfatal)
        given: dict[str, Any] = {"mincached": mincached, "maxcached": maxcached, "maxshared": maxshared}
        given["maxconnections"] = maxconnections
        given = {name: arguments.count(name, value) for name, value in given.items()}
        options = {name: kwargs.pop(name) for name in arguments.OPTIONS.intersection(kwargs)}
        own: dict[str, Any] = {"order": "fifo", "timeout": None, **arguments.sizes(given, options)}
        if ping_of(ping)[0] & PING_FETCHED:
            own["check_after"] = 0
        given["maxshared"] = given["maxshared"] if level > 1 else 0
        # whoever gives a time waits for it
        given["blocking"] = True if options.get("timeout") is not None else blocking
        driver = SteadyDriver(
            creator,
            args,
            kwargs,
            maxusage=arguments.usage(maxusage),
            setsession=arguments.statements(setsession),
            reset=reset,
            failures=arguments.failures(failures),
            ping=arguments.ping(ping),
            isfatal=isfatal,
            **given,
        )
        super().__init__(driver=driver, **{**own, **options})

    def _start(self, driver: Any, config: Config) -> None:
        self._maxshared: int = driver.maxshared
        self._sharing: Sharing = driver.sharing
        self._process = getpid()
        self._wait = config.timeout if driver.blocking else 0
        super()._start(driver, config)

    # ---- connections -------------------------------------------------------------------------------------------------

    def connection(self, shareable: bool = True, timeout: Any = ...) -> Any:  # type: ignore[override]
        """Give a connection; its ``close()``, the end of its ``with`` block, or its finalizer returns it.

        ``shareable``: other callers may use it at the same time, if ``maxshared`` allows that. ``timeout``: seconds to
        wait at most where all are in use, None for no limit, 0 not at all; default: as ``blocking`` says.
        TooManyConnectionsError if there is none in time, PoolClosed, or what the creator raises.
        """
        wait = self._wait if timeout is ... else timeout
        if shareable and self._maxshared:
            if self._process != getpid():
                self._idle_rows()  # has the core call _forked: the parent's connections are not to be shared here
            return PooledSharedDBConnection(self, self._sharing.join(self, wait))
        return PooledDedicatedDBConnection(self, _checkout(self, wait))

    def dedicated_connection(self) -> PooledDedicatedDBConnection:
        """Give a connection that no other caller uses: ``connection(shareable=False)``."""
        return self.connection(False)  # type: ignore[no-any-return]

    def steady_connection(self) -> SteadyDBConnection:
        """Open a connection that does not belong to the pool, and counts nowhere."""
        return self.driver.steady(self.driver.kwargs)

    def cache(self, con: SteadyDBConnection) -> None:
        """Return a dedicated connection, as the end of ``connection(False)`` does."""
        _checkin(self, con)
        if self._maxshared:
            self._sharing.changed()

    def unshare(self, con: SharedDBConnection) -> None:
        """End one caller's use of a shared connection."""
        self._sharing.leave(self, con)

    # ---- life --------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open ``min_size`` and ``mincached`` connections, which are rolled back like any that come back."""
        self.driver.opens_idle = True
        try:
            super().open()
        finally:
            self.driver.opens_idle = False

    def _least(self) -> int:
        return max(self.config.min_size, self.driver.mincached)

    def close(self, timeout: float | None = None) -> None:
        """Close the pool as :meth:`fastpool.Pool.close` does; a shared connection is closed after its last user."""
        self._sharing.forget()
        super().close(timeout)

    def clear(self, reason: str | None = None) -> None:
        """Replace all connections of now as :meth:`fastpool.Pool.clear` does; nobody joins a shared one of them."""
        self._sharing.forget()
        super().clear(reason)

    # ---- its parts ---------------------------------------------------------------------------------------------------

    def _forked(self) -> None:
        self.driver.begin()
        self._sharing = self.driver.sharing
        self._process = getpid()
        super()._forked()

    # what DBUtils' own tests, and programs that watch a pool, look at

    @property
    def _idle_cache(self) -> list[SteadyDBConnection]:
        return self.driver.idle()

    @property
    def _shared_cache(self) -> list[SharedDBConnection]:
        if not self._maxshared:
            raise AttributeError("this pool shares no connections")
        return self._sharing.connections

    @property
    def _connections(self) -> int:
        return self._counts()[1]

    @property
    def _maxconnections(self) -> int:
        return self.driver.maxconnections

    @property
    def _maxusage(self) -> int | None:
        return self.driver.maxusage

    @property
    def _setsession(self) -> Any:
        return self.driver.setsession

    @property
    def _isfatal(self) -> Any:
        return self.driver.isfatal
