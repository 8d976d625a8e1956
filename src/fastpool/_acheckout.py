"""A checkout that awaits: the steps of the compiled core, with an ``await`` where a thread would block.

The claim owns the slot between the steps. Whatever ends this coroutine, a cancellation at any point included, the
claim gives the slot back when it is dropped, at the latest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ._connecting import OutOfTime
from ._core import clock

if TYPE_CHECKING:
    from ._core import Claim, TaskBlock
    from ._pool import Pool


class Doing(Protocol):
    """How a pool's driver is called from a task: awaited, or in a thread."""

    async def open(self, claim: Claim) -> tuple[Any, Any]: ...
    async def check(self, claim: Claim) -> bool: ...
    async def close(self, c: Any) -> None: ...
    def close_soon(self, c: Any) -> None: ...


async def obtain(pool: Pool, claim: Claim, doing: Doing) -> None:
    """See that the claim has a connection that is fit for use. Raises as ``Pool.connection`` does."""
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
    front = False
    while True:
        if not claim.slot_in_hand and (front or not claim.take()):
            await claim.in_line(front)
            claim.waited()
        if claim.connecting:
            await connect(pool, claim, doing)
            return
        verdict, late = claim.verdict(), False
        if verdict == "?":
            try:
                verdict = None if await doing.check(claim) else "dead"
            except OutOfTime:
                verdict, late = "dead", claim.check_was_the_last
            if verdict is None:
                verdict = claim.checked()
        if verdict is None:
            return
        others = claim.suspect() if verdict in ("dead", "desync") else ()
        c = claim.empty(verdict)
        for other, server in others:
            doing.close_soon(other)
            pool._tell("closed_connection", server=server, connection=other, reason="dead")
        await doing.close(c)
        tell_closed(pool, claim, c)
        if late or _out_of_time(claim):
            raise claim.exhausted("check")
        if claim.slot_in_hand:
            await connect(pool, claim, doing)
            return
        front = True  # it had been served; as many connects as allowed are under way


def _out_of_time(claim: Claim) -> bool:
    """Whether the deadline is past; without time to wait in line (timeout=0) there is none for a connect."""
    return claim.over and claim.seconds_left is not None


async def connect(pool: Pool, claim: Claim, doing: Doing) -> None:
    """Open the connection for which the claim has room."""
    began = clock()
    try:
        c, server = await doing.open(claim)
    except BaseException as error:
        claim.connect_failed()
        if isinstance(error, Exception) and (isinstance(error, OutOfTime) or _out_of_time(claim)):
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
        self._checked: tuple[Any, list[bool]] = (None, [])

    async def _do(self, call: Callable[[], Any], left: float | None) -> Any:
        """Call in a thread. What takes longer than is ``left`` goes on there alone: OutOfTime."""
        work = asyncio.get_running_loop().run_in_executor(None, call)
        work.add_done_callback(_heard)
        if not (await asyncio.wait((work,), timeout=left))[0]:
            raise OutOfTime("the time of the checkout was over before the driver's call was")
        return work.result()

    async def open(self, claim: Claim) -> tuple[Any, Any]:
        pool, seat, left, loop = self._pool, claim.seat, claim.seconds_left, asyncio.get_running_loop()
        if not pool.was_opened:
            pool._first_use()
        opened: list[tuple[Any, Any]] = []
        wanted = [True]  # who takes this decides: the thread to hand over, or the task to give up

        def work() -> tuple[Any, Any] | None:
            if not wanted:
                return None
            opened.append(pool.connector.open(seat, left, pool._leased_by_server))
            if not _decided(wanted) or loop.is_closed():  # nobody wants it any more, or can get it
                self._close(opened[0][0])
            return opened[0]

        try:
            result: tuple[Any, Any] = await self._do(work, left)
        except BaseException as error:
            # the garbage collector at work (GeneratorExit) closes nothing: the connection's own finalizer does
            if not _decided(wanted) and opened and not isinstance(error, GeneratorExit):
                self.close_soon(opened[0][0])
            raise
        return result

    async def check(self, claim: Claim) -> bool:
        c, left = claim.connection, claim.check_begins()
        wanted = [True]  # who takes this first leaves the connection to the other, to be closed
        self._checked = c, wanted

        def work() -> bool:
            try:
                return bool(self._pool.driver.check(c, left))
            finally:
                if not _decided(wanted):
                    self._close(c)

        try:
            return bool(await self._do(work, left))
        except OutOfTime:
            raise
        except Exception:
            return False

    async def close(self, c: Any) -> None:
        """Close in a thread, and wait only where the connection that comes next is the same object."""
        if self._pool.driver.marks and not self._left_to_its_check(c):
            await self._do(lambda: self._close(c), None)
        else:
            self.close_soon(c)

    def close_soon(self, c: Any) -> None:
        if self._left_to_its_check(c):
            return
        try:
            asyncio.get_running_loop().run_in_executor(None, self._close, c)
        except RuntimeError:
            self._close(c)  # the loop is on its way out and its threads are gone

    def _left_to_its_check(self, c: Any) -> bool:
        """Whether another thread still checks ``c``; then that closes it, when it is done."""
        checked, wanted = self._checked
        return checked is c and _decided(wanted)

    def _close(self, c: Any) -> None:
        try:
            self._pool.driver.close(c)
        except Exception as error:
            self._pool._log_driver_error("close", error)


def _decided(wanted: list[bool]) -> bool:
    """Take what only the first can take; False: the other was first."""
    try:
        return wanted.pop()
    except IndexError:
        return False


def _heard(work: asyncio.Future[Any]) -> None:
    """Whoever left no longer waits for it, and asyncio is not to complain that nobody does."""
    if not work.cancelled():
        work.exception()


async def end_in_thread(block: TaskBlock, error: BaseException | None) -> None:
    """End a task's lease in a thread, as its reset or close may block; a cancellation here does not stop it."""
    block.returning()
    try:
        work = asyncio.get_running_loop().run_in_executor(None, block.end, error)
    except RuntimeError:
        block.end(error)  # the loop is on its way out and its threads are gone
        return
    await asyncio.shield(work)
