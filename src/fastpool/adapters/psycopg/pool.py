"""psycopg_pool.ConnectionPool, replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, Unpack

from psycopg import Connection

from ..._core import DefaultedCore, rebind
from ..._pool import Pool
from .arguments import split
from .driver import PsycopgDriver, check_connection
from .filler import Filler
from .hints import CT, Conninfo, Kwargs, PoolArguments
from .shared import SharedPool
from .steps import called

if TYPE_CHECKING:
    from ..._config import Config


class ConnectionPool(SharedPool, DefaultedCore[CT], Pool[CT]):
    """A pool of psycopg's synchronous connections, with psycopg_pool's arguments, methods and attributes.

    The constructor does not connect: connections are opened in the background, also if the server is away now.
    Options of :class:`fastpool.Pool` are taken by their names, except ``max_idle``, which is psycopg_pool's: fastpool's
    is ``pool_max_idle`` here. TypeError or ValueError for a bad argument.
    """

    driver: PsycopgDriver
    driver_class: type[PsycopgDriver] = PsycopgDriver
    null = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        own = set(vars(cls))  # before the core adds compiled methods
        super().__init_subclass__(**kwargs)
        if own & {"getconn", "putconn"} and "connection" not in own:
            cls.connection = _by_own_methods  # type: ignore[method-assign,assignment]
        rebind(cls, "getconn", "putconn")

    def __init__(
        self,
        conninfo: Conninfo = "",
        *,
        connection_class: type[CT] = Connection,  # type: ignore[assignment]
        kwargs: Kwargs | None = None,
        configure: Callable[[CT], object] | None = None,
        check: Callable[[CT], object] | None = None,
        reset: Callable[[CT], object] | None = None,
        **arguments: Unpack[PoolArguments],
    ) -> None:
        settings, options = split({**arguments, "checks": check is not None}, self.null)
        driver = self.driver_class(conninfo, kwargs, connection_class, configure, check, reset, settings)
        super().__init__(driver=driver, **options)

    def _start(self, driver: Any, config: Config) -> None:
        self._begin(driver)
        self.filler: Filler = self._new_filler()
        super()._start(driver, config)
        self._hear_waiters()

    def _new_filler(self) -> Filler:
        return Filler(self, self.num_workers)

    # ---- life

    def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        """Begin to open connections in the background, and to give them out; PoolClosed if it was closed before.

        ``wait``: return when ``min_size`` are open, as wait(timeout) does. A pool that is open already stays so.
        """
        if self.closed:
            self._mark_open()
        if wait:
            self.wait(timeout)

    def wait(self, timeout: float = 30.0) -> None:
        """Wait until ``min_size`` connections are idle; after ``timeout`` seconds the pool is closed: PoolTimeout."""
        self._check_open_getconn()
        called(self._wait_steps(timeout))

    def close(self, timeout: float | None = 5.0) -> None:
        """Close the pool: idle connections now, leased ones when they come back; callers in line get PoolClosed.

        ``timeout``: how many seconds to wait for connects that are under way (not for leases); None: no limit.
        """
        if self.closed:
            return
        self._mark_closed()
        super().close()
        self.filler.stop(timeout)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __enter__(self) -> Self:
        self._open_implicit = False
        self.open()
        self.before_use = None
        return self

    # ---- connections

    def resize(self, min_size: int, max_size: int | None = None, **sizes: Any) -> None:  # type: ignore[override]
        """Change the sizes of the pool; of what is too many one is closed after each ``max_idle`` seconds."""
        super().resize(**self._resize(min_size, max_size), **sizes)
        self.filler.see_size(self)
        self.filler.want()

    def check(self) -> None:
        """Send an empty query on each idle connection; broken and expired ones are replaced."""
        self._retire_idle("lifetime", 0)
        self.driver.checking += 1
        try:
            self._keep_alive(0)
        finally:
            self.driver.checking -= 1
        self.filler.want()

    check_connection = staticmethod(check_connection)

    def drain(self) -> None:
        """Replace all connections: idle ones now, leased ones when they come back."""
        closed = self.available
        self.clear()
        self.filler.want(max(closed - self._min_size, 0))

    def reconnect_failed(self) -> None:
        """Called when the server has been away for ``reconnect_timeout`` seconds; calls the function of this name."""
        call = self.driver.settings["reconnect_failed"]
        if call is not None:
            call(self)

    def open_in_background(self) -> bool:
        """Open one more connection; False: there is no room for it."""
        return self._open_one(-1)


@contextmanager
def _by_own_methods(self: ConnectionPool[CT], timeout: float | None = None) -> Iterator[CT]:
    """The block of a subclass with a getconn() or putconn() of its own, which are called for it."""
    conn = self.getconn(timeout)
    try:
        with conn:
            yield conn
    finally:
        self.putconn(conn)


rebind(ConnectionPool, "getconn", "putconn")
