"""AsyncPool: connections that are opened and closed with ``await``.

It works in several event loops at once, and in one after another; a connection opened in one loop is never handed to
another.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING, Any, Self

from .._config import seconds_to_ns
from .._connecting.connector import OutOfTime
from .._connecting.opening import NAP_S, Opening, warming
from .._core import Core, clock, loop_of_thread, running_task
from .._core.time_limit import TimeLimit
from .._driver import Driver, overrides
from .._keeper.keeper import keeper
from .._pool import Pool
from .checkout import connect, obtain, tell_closed
from .driver import Loop, LoopDriver, settled, was_cancelled

if TYPE_CHECKING:
    from types import TracebackType

    from .._core import Checkout, TaskBlock

CLOSES_S = 30.0  # how long close() without a timeout waits for the driver's: one that hangs holds up nobody else
UNDOES_S = 5.0  # how long an open() that fails waits for the closes of what it had opened


class LoopCalls:
    """The driver's calls of one checkout, awaited in the running loop."""

    __slots__ = ("_driver", "_loop", "_pool")

    def __init__(self, pool: AsyncPool, loop: Loop) -> None:
        self._pool = pool
        self._driver: LoopDriver = pool.driver
        self._loop = loop

    async def connect(self, claim: Checkout) -> None:
        """Open within the time that is left: a connect that takes longer is cancelled (OutOfTime)."""
        if not self._pool.was_opened:
            self._pool._first_use()
        claim.drop_homeless()
        self._driver.loops.add(self._loop)
        began = clock()
        c, server = await self._pool.connector.aopen(
            claim.entry, claim.seconds_left, self._pool._leased_by_server, claim.behind
        )
        self._driver.homes[id(c)] = (c, self._loop)
        claim.install(c, server, clock() - began)

    async def check(self, claim: Checkout) -> bool:
        """Ask the driver's check, within the time that it may take (else OutOfTime); raising means dead."""
        c, left = claim.connection, claim.check_begins()
        try:
            async with TimeLimit(left) as limit:
                return bool(await settled(self._driver.inner.check, c, left))
        except (Exception, asyncio.CancelledError) as error:
            if not isinstance(error, Exception) and was_cancelled():
                raise
            if limit.expired():
                raise OutOfTime("the time for the check was over before it was") from error
            return False

    async def close(self, c: Any) -> None:
        """Close in the connection's loop, without waiting for it."""
        self._driver.close(c)

    def close_soon(self, c: Any) -> None:
        """The same."""
        self._driver.close(c)


class AsyncPool(Pool):
    """A pool whose connections are opened, checked, reset and closed with ``await``.

    Arguments as for :class:`fastpool.Pool`; ``connect``, ``close``, ``check`` and ``reset`` may be coroutine functions
    or plain ones. ``checkin`` never awaits.
    """

    def _start(self, driver: Driver, config: Any) -> None:
        super()._start(driver if isinstance(driver, LoopDriver) else LoopDriver(driver), config)
        self.own_references = 2  # LoopDriver.homes has one
        self.of_loops = True

    @staticmethod
    def _overrides(driver: Driver) -> tuple[bool, bool, bool]:
        return overrides(driver.inner if isinstance(driver, LoopDriver) else driver)

    def _open_now(self) -> None:
        """Not in the constructor: there may be no loop yet. The first checkout does it, or open()."""

    async def open(self) -> None:  # type: ignore[override]
        """Open ``min_size`` connections in this loop, and keep them so. Again is harmless."""
        await self._open()

    async def _open(self) -> None:
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

    async def _open_up_to_here(self, opening: Opening) -> None:
        while opening.goes_on:
            if not (opening.is_short and await self._open_one_here(opening.seconds_left, opening.opened)):
                await asyncio.sleep(NAP_S)

    async def _open_one_here(self, timeout: float | None, opened: list[Any] | None = None) -> bool:
        loop = asyncio.get_running_loop()
        claim = self._claim(timeout, loop)
        if self.closed or not claim.take_room():
            return False
        await connect(self, claim, LoopCalls(self, loop))
        leave(self, claim, opened)
        return True

    async def close(self, timeout: float | None = None) -> None:  # type: ignore[override]
        """As :meth:`fastpool.Pool.close`; waits until the connections of this loop are closed, at most half a minute.

        A driver's close that takes longer, or than ``timeout``, goes on alone.
        """
        limit = seconds_to_ns("timeout", timeout)
        deadline = clock() + (CLOSES_S if timeout is None else limit / 1e9)
        first = self._shut()
        try:
            self._retire_idle("closed", 0)
            self.driver.stop_connecting(asyncio.get_running_loop())
            if timeout is not None:
                while (self._counts()[1] or self._counts()[2]) and clock() < deadline:
                    await asyncio.sleep(min(0.005, max(deadline - clock(), 0)))
                self._drop_leased()
            await self._wait_for_closes(self.driver.closing, max(deadline - clock(), 0))
        finally:
            keeper.forget(self)
            if first:
                self._tell("pool_closed")

    async def _wait_for_closes(self, closes: set[asyncio.Future[Any]], seconds: float) -> None:
        here = asyncio.get_running_loop()
        if here in list(self.driver.handed.values()):
            await asyncio.sleep(0)  # what other threads have handed to this loop begins
        mine = [closing for closing in list(closes) if closing.get_loop() is here]
        # What the driver's close and reset wait for must not wait for them.
        if mine and running_task() not in mine:
            await asyncio.wait(mine, timeout=seconds)

    async def warm(self, n: int | None = None, timeout: float | None = None) -> int:  # type: ignore[override]
        """As :meth:`fastpool.Pool.warm`."""
        await self._open_up_to_here(warming(self, n, timeout))
        return len(self)

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __enter__(self) -> Any:
        raise TypeError("an AsyncPool is used with `async with`")

    connection = Core.aconnection  # type: ignore[assignment]

    async def checkout(self, timeout: Any = ...) -> Any:
        """Take a connection by hand; give it back with :meth:`checkin`, exactly once."""
        return await self._acheckout(timeout)

    def checkin(self, c: Any, discard: bool = False) -> None:
        """Give back what :meth:`checkout` gave; never awaits, and may be called from any thread."""
        claim = self._claim_by_hand(c)
        if claim is not None:
            finish(self, claim, None, discard)

    async def _obtain(self, claim: Checkout) -> None:
        first = bool(not self.was_opened and self.config.min_size and not self.closed)
        if first:
            self.was_opened = True
            self._tell("pool_opened")
        elif self._lacks_keeper:
            self._go_on_keeping()
        try:
            await obtain(self, claim, LoopCalls(self, claim.loop))
            if first and not claim.over:
                await self._fill_for(claim)
        finally:
            if first:
                self._go_on_keeping()

    async def _fill_for(self, claim: Checkout) -> None:
        """Open the rest of ``min_size`` in the time of the first checkout; what fails is left to the keeper."""
        try:
            async with asyncio.timeout(claim.seconds_left):
                while len(self) < self.config.min_size and await self._open_one_here(None):
                    pass
        except Exception:
            return
        except BaseException:
            leave(self, claim)
            raise

    def _go_on_connecting(self, claim: Checkout) -> None:
        if self.closed:
            claim.drop("closed")
            return
        work = self._connect_behind(claim)
        # in an empty context: what goes on is none of the caller's request
        task = contextvars.Context().run(asyncio.get_running_loop().create_task, work)
        self.driver.behind.add(task)
        task.add_done_callback(self.driver.behind.discard)

    async def _connect_behind(self, claim: Checkout) -> None:
        try:
            await connect(self, claim, LoopCalls(self, claim.loop))
        except Exception:
            return  # it was told and counted, and whoever waits has a deadline of his own
        leave(self, claim)

    async def _give_back(self, block: TaskBlock, error: BaseException | None) -> None:
        """The end of a lease whose connection is reset; it is over when the connection is fit again."""
        claim = self._claim_lease(block, error)
        if claim is None:
            return
        task = finish(self, claim, error, block.discarded)
        if task is not None and error is None:
            await asyncio.shield(task)  # a cancellation here does not stop the reset

    def _forked(self) -> None:
        self.driver.behind.clear()
        self.driver.loops.clear()  # the parent's: they only look as if they ran
        super()._forked()

    def _open_one(self, timeout_ns: int, opened: list[Any] | None = None) -> bool:
        """The keeper's way: in the loop of some connection that is open, or was, if one runs."""
        seconds = None if timeout_ns < 0 else timeout_ns / 1e9
        filled: bool = self.driver.fill(lambda: self._open_one_here(seconds, opened))
        return filled


def finish(pool: AsyncPool, claim: Checkout, error: BaseException | None, discard: bool) -> asyncio.Future[Any] | None:
    """End a lease whose claim we have; the reset, if it must be awaited, goes on as a task, which is returned."""
    driver: LoopDriver = pool.driver
    reason = claim.judge(error, discard)
    if reason is None and claim.resets:
        home = driver.homes.get(id(claim.connection))
        if home is None or home[1].is_closed():
            reason = "discarded"
        elif loop_of_thread() is home[1]:
            return driver.run_here(_reset(pool, claim, error))
        else:
            try:
                home[1].call_soon_threadsafe(finish, pool, claim, error, discard)
                return None
            except RuntimeError:
                reason = "discarded"  # its loop was closed this very moment
    _settle(pool, claim, reason, error)
    return None


def leave(pool: AsyncPool, claim: Checkout, opened: list[Any] | None = None) -> None:
    """Leave the claim's connection to whoever wants one."""
    c = claim.put(opened)
    if c is not None:
        pool.driver.close(c)
        tell_closed(pool, claim, c)


def _settle(pool: AsyncPool, claim: Checkout, reason: str | None, error: BaseException | None) -> None:
    """The last step of a checkin: the connection is given, or closed for ``reason``, or because it is surplus."""
    c = claim.give(error) if reason is None else claim.retire(reason, error)
    if c is not None:
        pool.driver.close(c)
        tell_closed(pool, claim, c)


async def _reset(pool: AsyncPool, claim: Checkout, error: BaseException | None) -> None:
    """Reset before the connection is available again; one that cannot be reset is closed."""
    failure: BaseException | None = None
    clean = True
    try:
        await settled(pool.driver.inner.reset, claim.connection)
    except BaseException as reason:
        if isinstance(reason, Exception) or (isinstance(reason, asyncio.CancelledError) and not was_cancelled()):
            pool._log_driver_error("reset", reason)
            clean = False
        else:
            failure = reason
    _settle(pool, claim, None if clean and failure is None and claim.tidied() else "error", error)
    if failure is not None:
        raise failure


AsyncPool.__module__ = "fastpool"
