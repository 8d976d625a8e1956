"""psycopg_pool.AsyncConnectionPool, replaced."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, Self, Unpack

from psycopg import AsyncConnection

from ..._async.checkin import check_in
from ..._async.pool import AsyncPool
from ..._async.worker_calls import Signal
from ..._async.workers import staff_of
from ..._core import STEP_RESET, AwaitingDefaultedCore
from ..._errors import LeaseError
from .arguments import split
from .driver_async import AsyncPsycopgDriver, check_connection
from .filler_async import AsyncFiller
from .hints import ACT, AsyncConninfo, AsyncKwargs, PoolArguments
from .shared import SharedPool
from .steps import awaited

if TYPE_CHECKING:
    from ..._config import Config


class AsyncConnectionPool(SharedPool, AwaitingDefaultedCore[ACT], AsyncPool[ACT]):
    """A pool of psycopg's awaited connections, with psycopg_pool's arguments, methods and attributes.

    Connections are opened by tasks of the loop in which the pool is opened. Otherwise as ConnectionPool.
    """

    driver_class: type[AsyncPsycopgDriver] = AsyncPsycopgDriver
    null = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        own = set(vars(cls))  # before the core adds compiled methods
        super().__init_subclass__(**kwargs)
        if own & {"getconn", "putconn"} and "connection" not in own:
            cls.connection = _by_own_methods  # type: ignore[method-assign,assignment]

    def __init__(
        self,
        conninfo: AsyncConninfo = "",
        *,
        connection_class: type[ACT] = AsyncConnection,  # type: ignore[assignment]
        kwargs: AsyncKwargs | None = None,
        configure: Callable[[ACT], Awaitable[object]] | None = None,
        check: Callable[[ACT], Awaitable[object]] | None = None,
        reset: Callable[[ACT], Awaitable[object]] | None = None,
        **arguments: Unpack[PoolArguments],
    ) -> None:
        settings, options = split({**arguments, "checks": check is not None}, self.null)
        driver = self.driver_class(conninfo, kwargs, connection_class, configure, check, reset, settings)
        super().__init__(driver=driver, **options)

    def _start(self, driver: Any, config: Config) -> None:
        self._begin(getattr(driver, "inner", driver))
        self.filler: AsyncFiller = self._new_filler()
        super()._start(driver, config)
        self._hear_waiters()

    def _new_filler(self) -> AsyncFiller:
        return AsyncFiller(self, self.num_workers)

    def _open_in_constructor(self) -> None:
        if self.psycopg.settings["open"]:
            self._warn_implicit()
        super()._open_in_constructor()

    def _mark_open(self) -> None:
        try:
            self.filler.home = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(f"{type(self).__name__} open with no running loop") from None
        super()._mark_open()

    def _warn_implicit(self) -> None:
        kind = type(self).__name__
        warnings.warn(
            f"opening the async pool {kind} in the constructor is deprecated and will not be supported anymore in a "
            "future release. Please use `await pool.open()`, or use the pool as context manager using: "
            f"`async with {kind}(...) as pool: `...",
            RuntimeWarning,
            stacklevel=3,
        )

    # ---- life

    async def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        """Begin to open connections in the background, and to give them out; PoolClosed if it was closed before.

        ``wait``: return when ``min_size`` are open, as wait(timeout) does. A pool that is open already stays so.
        """
        if self.closed:
            self._mark_open()
        if wait:
            await self.wait(timeout)

    async def wait(self, timeout: float = 30.0) -> None:
        """Wait until ``min_size`` connections are idle; after ``timeout`` seconds the pool is closed: PoolTimeout."""
        self._check_open_getconn()
        await awaited(self._wait_steps(timeout))

    async def close(self, timeout: float | None = 5.0) -> None:
        """Close the pool: idle connections now, leased ones when they come back; callers in line get PoolClosed.

        ``timeout``: how many seconds to wait for connects that are under way (not for leases); None: no limit.
        """
        if self.closed:
            return
        self._mark_closed()
        await super().close()
        await self.filler.stop(timeout)

    async def __aenter__(self) -> Self:
        self._open_implicit = False
        await self.open()
        self.before_use = None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- connections

    async def getconn(self, timeout: float | None = None) -> ACT:
        """Check out a connection; return it with putconn(). PoolTimeout, TooManyRequests, PoolClosed."""
        if self.before_use is not None:
            self.before_use()
        c: ACT = await self._acheckout(... if timeout is None else timeout)
        return c

    async def putconn(self, conn: ACT) -> None:
        """Return a connection that getconn() gave; what is left of a transaction is rolled back.

        ValueError (a LeaseError, too): it is not out, or not this pool's.
        """
        try:
            checkin = self._checkin_by_hand(conn, False)
        except LeaseError as error:
            self._putconn_refused(conn, error)
        if checkin is None:
            return
        if self.psycopg.is_reset(conn) and checkin.step() == STEP_RESET:
            checkin.was_reset(True)
        task = check_in(self, checkin)
        if task is not None:
            await asyncio.shield(task)  # a cancellation here does not stop the rollback

    async def resize(self, min_size: int, max_size: int | None = None, **sizes: Any) -> None:  # type: ignore[override]
        """Change the sizes of the pool; of what is too many one is closed after each ``max_idle`` seconds."""
        super().resize(**self._resize(min_size, max_size), **sizes)
        self.filler.see_size(self)
        self.filler.want()

    async def check(self) -> None:
        """Send an empty query on each idle connection; broken and expired ones are replaced."""
        self._retire_idle("lifetime", 0)
        signal = Signal()

        def look() -> None:
            self.psycopg.checking += 1
            try:
                self._keep_alive(0)  # it waits for this loop, in which each connection is asked
            finally:
                self.psycopg.checking -= 1
                signal.give()

        staff_of(self).closing.do(look)
        await signal.future
        self.filler.want()

    check_connection = staticmethod(check_connection)

    async def drain(self) -> None:
        """Replace all connections: idle ones now, leased ones when they come back."""
        closed = self.available
        self.clear()
        self.filler.want(max(closed - self._min_size, 0))

    async def reconnect_failed(self) -> None:
        """Called when the server has been away for ``reconnect_timeout`` seconds; calls the function of this name."""
        call = self.psycopg.settings["reconnect_failed"]
        result = None if call is None else call(self)
        if isawaitable(result):
            await result

    async def open_in_background(self) -> bool:
        """Open one more connection; False: there is no room for it."""
        return await self._open_one_here(None)


@asynccontextmanager
async def _by_own_methods(self: AsyncConnectionPool[ACT], timeout: float | None = None) -> AsyncIterator[ACT]:
    """The block of a subclass with a getconn() or putconn() of its own, which are called for it."""
    conn = await self.getconn(timeout)
    try:
        async with conn:
            yield conn
    finally:
        await self.putconn(conn)
