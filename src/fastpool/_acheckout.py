"""A checkout that awaits: the steps of the compiled core, with an ``await`` where a thread would block.

The claim owns the slot between the steps. Whatever ends this coroutine, a cancellation at any point included, the
claim gives the slot back when it is dropped, at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from ._config import seconds_to_ns
from ._core import clock, clock_is_stopped
from ._decorate import leased_task
from ._errors import LeaseError

if TYPE_CHECKING:
    from types import TracebackType

    from ._core import Claim, Lease
    from ._pool import Pool

_LOOK_S = 1.0  # how often a task in line looks for what nobody can give back, as threads do
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Doing(Protocol):
    """How a pool's driver is called from a task: awaited, or in a thread."""

    async def open(self, claim: Claim) -> tuple[Any, Any]: ...
    async def check(self, claim: Claim) -> bool: ...
    async def close(self, c: Any) -> None: ...
    def close_soon(self, c: Any) -> None: ...


async def obtain(pool: Pool, claim: Claim, doing: Doing, bound: bool) -> Lease:
    """The lease of a checkout. Raises as ``Pool.connection`` does."""
    began = 0.0
    if pool.listeners:
        began = clock()
        pool._tell("checkout_started")
    try:
        await _find_fit(pool, claim, doing)
    except BaseException as error:
        drop(pool, claim, doing, error)
        if pool.listeners:
            pool._tell("checkout_failed", error=error, waited=clock() - began)
        raise
    return claim.lease(bound)


def drop(pool: Pool, claim: Claim, doing: Doing, error: BaseException) -> None:
    """A checkout that failed with a connection in hand: it is closed, for nobody knows what state it is in."""
    if isinstance(error, GeneratorExit):
        return  # the garbage collector at work: the claim's own finalizer leaves the connection for the next to replace
    reason = "closed" if pool.closed else "error"
    c = claim.drop(reason)
    if c is not None:
        doing.close_soon(c)
        tell_closed(pool, claim, c)


def tell_closed(pool: Pool, claim: Claim, c: Any) -> None:
    """The claim's connection has been, or is being, closed."""
    pool._tell("closed_connection", server=claim.server, connection=c, reason=claim.reason)


async def _find_fit(pool: Pool, claim: Claim, doing: Doing) -> None:
    front = queued = False
    while True:
        if front or not claim.take():
            await _wait(claim, front)
            if not queued:
                queued = True
                claim.waited()
        if claim.connecting:
            await connect(pool, claim, doing)
            return
        verdict = claim.verdict()
        if verdict == "?":
            verdict = None if await doing.check(claim) else "dead"
            if verdict is None:
                claim.checked()
        if verdict is None:
            return
        if verdict in ("dead", "desync"):
            claim.suspect()
        c = claim.empty(verdict)
        await doing.close(c)
        tell_closed(pool, claim, c)
        if claim.over:
            raise claim.exhausted("check")
        if claim.slot_in_hand:
            await connect(pool, claim, doing)
            return
        front = True  # it had been served; as many connects as allowed are under way


async def _wait(claim: Claim, front: bool) -> None:
    """Stand in line until something is handed over."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def fire() -> None:
        if not future.done():
            future.set_result(None)

    def rouse() -> bool:
        if asyncio._get_running_loop() is loop:
            fire()
        else:
            loop.call_soon_threadsafe(fire)  # RuntimeError from a closed loop: the giver keeps what it gives
        return True

    try:
        if claim.line_up(rouse, front):
            return
        while True:
            left = claim.seconds_left
            nap = 0.005 if clock_is_stopped() else _LOOK_S
            timer = loop.call_later(nap if left is None else min(left, nap), fire)
            try:
                await future
            finally:
                timer.cancel()
            if claim.collect():
                return
            claim.look()
            if claim.over and claim.leave(True):
                raise claim.exhausted("wait")
            future = loop.create_future()
            if claim.collect():
                return
    except BaseException:
        # Handed over at this very moment: to the next in line first, and then on with the exception.
        claim.give_up()
        raise


async def connect(pool: Pool, claim: Claim, doing: Doing) -> None:
    """Open the connection for which the claim has room."""
    began = clock()
    try:
        c, server = await doing.open(claim)
    except BaseException as error:
        claim.connect_failed()
        if isinstance(error, Exception) and claim.over:
            raise claim.exhausted("connect") from error
        raise
    try:
        claim.install(c, server, clock() - began)
    except BaseException as error:
        drop(pool, claim, doing, error)
        raise


class InThread:
    """A synchronous driver, called from a task: what may block is done in a thread of the loop's executor."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _do(self, call: Callable[[], Any], late: Callable[[Any], object] | None = None) -> Any:
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(None, call)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if late is not None:
                work.add_done_callback(lambda done: late(done) if not done.cancelled() else None)
            raise

    async def open(self, claim: Claim) -> tuple[Any, Any]:
        pool, seat, left = self._pool, claim.seat, claim.seconds_left
        if not pool.was_opened:
            pool._first_use()

        def late(done: asyncio.Future[Any]) -> None:
            if done.exception() is None:  # nobody wants it any more
                asyncio.get_running_loop().run_in_executor(None, self._close, done.result()[0])

        result: tuple[Any, Any] = await self._do(lambda: pool.connector.open(seat, left, pool._leased_by_server), late)
        return result

    async def check(self, claim: Claim) -> bool:
        c, left = claim.connection, claim.seconds_left
        try:
            return bool(await self._do(lambda: self._pool.driver.check(c, left)))
        except Exception:
            return False

    async def close(self, c: Any) -> None:
        await self._do(lambda: self._close(c))

    def close_soon(self, c: Any) -> None:
        try:
            asyncio.get_running_loop().run_in_executor(None, self._close, c)
        except RuntimeError:
            self._close(c)  # the loop is on its way out and its threads are gone

    def _close(self, c: Any) -> None:
        try:
            self._pool.driver.close(c)
        except Exception as error:
            self._pool._log_driver_error("close", error)


class Block:
    """The right to use a connection for the length of an ``async with`` block; what both kinds of pool have of it."""

    __slots__ = ("_discard", "_lease", "_pool", "_timeout")

    def __init__(self, pool: Any, timeout: Any) -> None:
        if timeout is not ... and not pool.driver.marks:  # the drop-in looks at it when the block begins
            seconds_to_ns("timeout", timeout)
        self._pool = pool
        self._timeout = timeout
        self._lease: Lease | None = None
        self._discard = False

    def __call__(self, function: Callable[_P, Awaitable[_R]]) -> Callable[_P, Awaitable[_R]]:
        """As a decorator: every call of the coroutine function runs inside a lease of its own."""
        return leased_task(lambda: type(self)(self._pool, self._timeout), function)

    def discard(self) -> None:
        """Close the connection at the end of the block instead of returning it."""
        self._discard = True

    def _ending(self) -> Lease:
        """The lease that ends; LeaseError if the block has not begun."""
        lease = self._lease
        if lease is None:
            raise LeaseError("this block has not begun")
        if self._discard:
            lease.discard()
        return lease


class TaskLease(Block):
    """``async with pool.aconnection() as c``: a task's lease on a connection of a synchronous pool."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        pool = self._pool
        if self._lease is not None:
            raise LeaseError("a lease is good for one block: call aconnection() for each")
        if self._timeout is not ...:
            seconds_to_ns("timeout", self._timeout)
        pool._look_for_worlds()
        lease = pool._shared_lease() or pool._quick_lease(None)
        if lease is None:
            lease = await obtain(pool, pool._claim(self._timeout, None), InThread(pool), True)
        self._lease = lease
        return lease.connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease = self._ending()
        if error is None and self._pool._ends_quietly(lease):
            lease.__exit__(kind, error, trace)
            return
        # A reset or a close may block, so a thread does it; a cancellation here does not stop it.
        lease.returning()
        try:
            work = asyncio.get_running_loop().run_in_executor(None, lease.__exit__, kind, error, trace)
        except RuntimeError:
            lease.__exit__(kind, error, trace)  # the loop is on its way out and its threads are gone
            return
        await asyncio.shield(work)
