"""AsyncPool: connections that are opened and closed with ``await``.

It works in several event loops at once, and in one after another; a connection opened in one loop is never handed to
another.
"""

from __future__ import annotations

import asyncio
import contextvars
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from .. import _registry as registry
from .._base import BasePool
from .._connecting.opening import NAP_S, Opening, warming
from .._core import AwaitingCore, clock, deadline_after, running_task
from .._core.time_limit import TimeLimit
from .._driver import Driver, ends_blocks, overrides
from .._keeper.keeper import keeper
from .._light.hints import C
from .checkin import check_in
from .checkout import close_all, obtain, open_one
from .driver import LoopDriver, settled
from .loop_calls import LoopCalls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from .._core import AsyncLease, Checkout
    from .._options import KeepOn, PoolOptions

CLOSES_S = 30.0  # how long close() without a timeout waits for the driver's: one that hangs holds up nobody else
UNDOES_S = 5.0  # how long an open() that fails waits for the closes of what it had opened


class AsyncPool(BasePool[C], AwaitingCore[C]):
    """A pool whose connections are opened, checked, reset and closed with ``await``.

    Arguments as for :class:`fastpool.Pool`; ``connect``, ``close``, ``check`` and ``reset`` may be coroutine functions
    or plain ones. ``checkin`` never awaits.
    """

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            connect: Callable[..., Awaitable[C]],
            *,
            close: Callable[[C], object] | None = None,
            check: Callable[..., bool | Awaitable[bool]] | None = None,
            reset: Callable[[C], object] | None = None,
            fileno: Callable[[C], int] | None = None,
            keep_on: KeepOn = (),
            **options: Unpack[PoolOptions],
        ) -> None: ...
        @overload
        def __init__(
            self,
            connect: Callable[..., C],
            *,
            close: Callable[[C], object] | None = None,
            check: Callable[..., bool | Awaitable[bool]] | None = None,
            reset: Callable[[C], object] | None = None,
            fileno: Callable[[C], int] | None = None,
            keep_on: KeepOn = (),
            **options: Unpack[PoolOptions],
        ) -> None: ...
        @overload
        def __init__(self, *, driver: Driver[C], **options: Unpack[PoolOptions]) -> None: ...
        def __init__(self, *args: Any, **options: Any) -> None: ...

    # ---- life ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open ``min_size`` connections in this loop, and keep them so. It may be called again."""
        opening = Opening(self, self._least(), None, self.config.timeout)
        try:
            opening.begin()
            await self._open_up_to_here(opening)
            opening.succeeded()
        except BaseException:
            before = set(self.driver.closing)
            opening.failed()
            await self._wait_for_closes(self.driver.closing - before, UNDOES_S)
            raise

    async def close(self, timeout: float | None = None) -> None:
        """As :meth:`fastpool.Pool.close`; waits until the connections of this loop are closed, at most half a minute.

        A driver's close that takes longer, or than ``timeout``, goes on alone.
        """
        deadline = deadline_after(CLOSES_S if timeout is None else timeout)
        first = self._shut()
        try:
            self._retire_idle("closed", 0)
            self.driver.stop_connecting(asyncio.get_running_loop())
            if timeout is not None:
                await self._wait_for_leases(deadline)
                self._drop_leased()
            await self._wait_for_closes(self.driver.closing, max(deadline - clock(), 0))
        finally:
            keeper.forget(self)
            self._leave_shared()
            if first:
                self._tell("pool_closed")

    async def warm(self, n: int | None = None, timeout: float | None = None) -> int:
        """As :meth:`fastpool.Pool.warm`."""
        await self._open_up_to_here(warming(self, n, timeout))
        return len(self)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # ---- checkout and checkin ----------------------------------------------------------------------------------------

    async def checkout(self, timeout: float | EllipsisType | None = ...) -> C:
        """Take a connection by hand; give it back with :meth:`checkin`, exactly once."""
        c: C = await self._acheckout(timeout)
        return c

    def checkin(self, c: C, discard: bool = False) -> None:
        """Give back what :meth:`checkout` gave; never awaits, and may be called from any thread."""
        checkin = self._checkin_by_hand(c, discard)
        if checkin is not None:
            check_in(self, checkin)

    # ---- its parts ---------------------------------------------------------------------------------------------------

    def _start(self, driver: Driver, config: Any) -> None:
        super()._start(driver if isinstance(driver, LoopDriver) else LoopDriver(driver.awaited()), config)
        self.own_references = 2  # LoopDriver.homes has one
        self.of_loops = True
        self.driver.over = registry.weak_call(self, "_closed_one")

    @staticmethod
    def _overrides(driver: Driver) -> tuple[bool, bool, bool]:
        return overrides(driver.inner if isinstance(driver, LoopDriver) else driver)

    @staticmethod
    def _ends_blocks(driver: Driver) -> bool:
        return ends_blocks(driver.inner if isinstance(driver, LoopDriver) else driver)

    async def _open_up_to_here(self, opening: Opening) -> None:
        while opening.goes_on:
            if not (opening.is_short and await self._open_one_here(opening.seconds_left, opening.opened)):
                if self._is_short_of_permits and not self._connecting:  # else what others open now is waited for
                    return
                await asyncio.sleep(NAP_S)

    async def _open_one_here(self, timeout: float | None, opened: list[Any] | None = None) -> bool:
        loop = asyncio.get_running_loop()
        checkout = self._new_checkout(timeout, loop)
        if not checkout.take_room():
            return False
        await open_one(self, checkout, LoopCalls(self, loop), opened)
        return True

    async def _wait_for_leases(self, deadline: float) -> None:
        while (left := deadline - clock()) > 0:
            _, leased, connecting, *_ = self._counts()
            if not (leased or connecting):
                return
            await asyncio.sleep(min(0.005, left))

    async def _wait_for_closes(self, closes: set[asyncio.Future[Any]], seconds: float) -> None:
        here = asyncio.get_running_loop()
        if any(loop is here for _, loop in list(self.driver.handed.values())):
            await asyncio.sleep(0)  # what other threads have handed to this loop begins
        mine = [closing for closing in list(closes) if closing.get_loop() is here]
        # What the driver's close and reset wait for must not wait for them.
        if mine and running_task() not in mine:
            await asyncio.wait(mine, timeout=seconds)

    # ---- what the core asks for ------------------------------------------------------------------------------------

    async def _obtain(self, checkout: Checkout) -> None:
        first = bool(not self.was_opened and self.config.min_size and not self.closed)
        if first:
            self.was_opened = True
            self._tell("pool_opened")
        elif self._lacks_keeper:
            self._go_on_keeping()
        try:
            await obtain(self, checkout, LoopCalls(self, checkout.loop))
            if first and not checkout.over:
                await self._fill_for(checkout)
        finally:
            if first:
                self._go_on_keeping()

    async def _fill_for(self, checkout: Checkout) -> None:
        """Open the rest of ``min_size`` in the time of the first checkout; what fails is left to the keeper."""
        try:
            async with TimeLimit(checkout.seconds_left):
                while len(self) < self.config.min_size and await self._open_one_here(None):
                    pass
        except Exception:
            return
        except BaseException:
            checkout.put()
            close_all(self, self.driver.close, checkout.closing())
            raise

    async def _give_back(self, block: AsyncLease, error: BaseException | None) -> None:
        """The end of a lease whose block the driver ends, or whose connection is reset; then it is fit again."""
        if block.has_work(error) and (c := block.connection) is not None:
            try:
                await settled(self.driver.end_block, c, error)
                is_reset = self.driver.is_reset(c)
            except BaseException as failure:
                self._check_in_of(block, failure)
                raise
            if is_reset:
                block.end(error, True)
                return
        task = self._check_in_of(block, error)
        if task is not None and error is None:
            await asyncio.shield(task)  # a cancellation here does not stop the reset

    def _check_in_of(self, block: AsyncLease, error: BaseException | None) -> asyncio.Future[Any] | None:
        checkin = self._checkin_of(block, error)
        return None if checkin is None else check_in(self, checkin)

    def _go_on_connecting(self, checkout: Checkout) -> None:
        if self.closed:
            checkout.dropped()
            return
        work = self._connect_behind(checkout)
        # in an empty context: what goes on is none of the caller's request
        task = contextvars.Context().run(asyncio.get_running_loop().create_task, work)
        self.driver.behind.add(task)
        task.add_done_callback(self.driver.behind.discard)

    async def _connect_behind(self, checkout: Checkout) -> None:
        try:
            await open_one(self, checkout, LoopCalls(self, checkout.loop))
        except Exception:
            pass  # it was told and counted, and each waiter has a deadline of its own

    def _open_one(self, timeout_ns: int, opened: list[Any] | None = None) -> bool:
        """The keeper's way: in the loop of some connection that is open, or was, if one runs."""
        seconds = None if timeout_ns < 0 else timeout_ns / 1e9
        filled: bool = self.driver.fill(lambda: self._open_one_here(seconds, opened))
        return filled

    def _sweep_closes(self) -> None:
        self.driver.drop_homeless()

    def _forked(self) -> None:
        self.driver.forget_parents()
        super()._forked()


AsyncPool.__module__ = "fastpool"
