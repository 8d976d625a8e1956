"""A synchronous driver, called for tasks: what may block is done by workers, threads of the pool's own.

A worker owns the slot while it connects or checks, and the permit with it. A task that leaves meanwhile leaves the
slot to the worker, which keeps what comes of it for the next caller.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .._connecting.connector import OutOfTime
from .._core import clock
from .checkout import tell_closed
from .workers import staff_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Checkout, TaskBlock
    from .._pool import Pool
    from .workers import Workers

_BEGUN, _END = 1, 2  # the questions that are decided by who answers first
_GONE = object()


class Signal:
    """What a task waits for while a worker works for it."""

    __slots__ = ("_loop", "future")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()

    def give(self) -> bool:
        """Wake the task, from any thread; False: its loop is closed."""
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return False
        return True

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Outcome:
    """What has come of a step: the slot, and what the step gave or raised."""

    __slots__ = ("claim", "error", "value")

    def __init__(self, claim: Checkout) -> None:
        self.claim = claim
        self.value: Any = None
        self.error: BaseException | None = None


class Step:
    """A connect or check for a task. Until it begins the slot is the task's, then the worker's, at the end whose it is
    decided.

    ``do(claim)`` is the step; ``keep(outcome)`` does what is to be done with its slot when its task has gone.
    """

    __slots__ = ("_answers", "_claim", "_do", "_keep", "_signal")

    def __init__(self, claim: Checkout, do: Callable[[Checkout], Any], keep: Callable[[Outcome], None]) -> None:
        self._claim = claim
        self._do, self._keep = do, keep
        self._signal = Signal()
        self._answers: dict[int, object] = {}

    def __call__(self) -> None:
        """Done by a worker."""
        if self._answers.setdefault(_BEGUN, True) is not True:
            return  # its task has gone, with the slot
        outcome = Outcome(self._claim.lend())
        try:
            outcome.value = self._do(outcome.claim)
        except BaseException as error:
            outcome.error = error
        wanted = self._answers.setdefault(_END, outcome) is outcome
        if not wanted or (not self._signal.give() and self._answers.pop(_END, None) is outcome):
            self._keep(outcome)

    async def by(self, workers: Workers, seconds: float | None) -> Any:
        """Have it done, and own the slot again. OutOfTime after so many seconds: then the slot may be the worker's."""
        try:
            workers.do(self)
            await asyncio.wait((self._signal.future,), timeout=seconds)
        except BaseException as error:
            outcome = self._leave()
            if outcome is not None and not isinstance(error, GeneratorExit):
                self._keep(outcome)  # the collector at work keeps nothing: the claim's finalizer will do
            raise
        outcome = self._leave()
        if outcome is None:
            raise OutOfTime("the time for the driver's call was over before it was")
        self._claim.accept(outcome.claim)
        if outcome.error is not None:
            try:
                raise outcome.error
            finally:
                outcome.error = None  # it knows this frame
        return outcome.value

    def _leave(self) -> Outcome | None:
        """The task waits no longer; None: it is not over, and goes on alone if it has begun."""
        if self._answers.setdefault(_BEGUN, False) is False:
            return None
        if self._answers.setdefault(_END, _GONE) is _GONE:
            return None
        outcome = self._answers.pop(_END, None)
        return outcome if isinstance(outcome, Outcome) else None


class WorkerCalls:
    """The driver's calls of one checkout of a task, each made by a worker."""

    __slots__ = ("_pool", "_staff")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._staff = staff_of(pool)

    async def connect(self, claim: Checkout) -> None:
        """Open within the time that is left. What takes longer goes on, and its connection is kept for the next."""
        if not self._pool.was_opened:
            self._pool._first_use()
        left = claim.seconds_left
        step = Step(claim, lambda own: _connect(self._pool, own, left), self._keep_connected)
        try:
            await step.by(self._staff.connecting, left)
        except BaseException:
            if claim.slot_in_hand and claim.connecting:
                claim.drop("error")  # not begun
            raise

    async def check(self, claim: Checkout) -> bool:
        """Ask the driver's check, within the time that it may take (else OutOfTime); raising means dead.

        What takes longer goes on, and its verdict says whether the connection is kept.
        """
        left = claim.check_begins()
        step = Step(claim, lambda own: _check(self._pool, own, left), self._keep_checked)
        try:
            verdict: bool = await step.by(self._staff.connecting, left)
        except (OutOfTime, asyncio.CancelledError):
            if claim.slot_in_hand:
                self._leave(claim)  # not begun: nothing is known against it
            raise
        return verdict

    async def close(self, c: Any) -> None:
        """Close in a thread, and wait only where the connection that comes next is the same object."""
        if not self._pool.driver.tracks_calls:
            self.close_soon(c)
            return
        signal = Signal()
        close_by(self._pool, c, signal.give)
        await signal.future

    def close_soon(self, c: Any) -> None:
        """Close in a thread."""
        close_by(self._pool, c)

    # ---- what is left to the worker

    def _keep_connected(self, outcome: Outcome) -> None:
        if outcome.error is None:
            self._leave(outcome.claim)

    def _keep_checked(self, outcome: Outcome) -> None:
        claim = outcome.claim
        reason = "error" if outcome.error is not None else claim.checked() if outcome.value else "dead"
        if reason is None:
            self._leave(claim)
            return
        others = claim.suspect() if reason == "dead" else ()
        close_retired(self._pool, claim, claim.retire(reason))
        for other, server in others:
            self.close_soon(other)
            self._pool._tell("closed_connection", server=server, connection=other, reason="dead")

    def _leave(self, claim: Checkout) -> None:
        """The connection is for whoever wants one."""
        close_retired(self._pool, claim, claim.put())


def _connect(pool: Pool, claim: Checkout, seconds: float | None) -> None:
    began = clock()
    try:
        c, server = pool.connector.open(claim.entry, seconds, pool._leased_by_server)
    except BaseException as error:
        if isinstance(error, Exception) and seconds is not None and claim.over:
            pool._go_on_connecting(claim.go_on())
        claim.connect_failed()
        raise
    try:
        claim.install(c, server, clock() - began)
    except BaseException:
        close_retired(pool, claim, claim.drop("closed" if pool.closed else "error"))
        raise


def _check(pool: Pool, claim: Checkout, seconds: float | None) -> bool:
    try:
        return bool(pool.driver.check(claim.connection, seconds))
    except Exception:
        return False


def close_retired(pool: Pool, claim: Checkout, c: Any, over: Callable[[], object] | None = None) -> None:
    """Have the claim's connection closed, if there is one."""
    if c is not None:
        close_by(pool, c, over)
        tell_closed(pool, claim, c)
    elif over is not None:
        over()


def close_by(pool: Pool, c: Any, over: Callable[[], object] | None = None) -> None:
    """Have a worker close ``c``, and call ``over`` then; at once if all are busy, for a close may hang."""

    def close() -> None:
        try:
            pool.driver.close(c)
        except Exception as error:
            pool._log_driver_error("close", error)
        finally:
            if over is not None:
                over()

    try:
        begins = staff_of(pool).closing.do(close)
    except RuntimeError:
        close()  # no thread is to be had
        return
    if not begins and over is not None:
        over()


async def end_in_thread(pool: Pool, block: TaskBlock, error: BaseException | None) -> None:
    """End a task's lease in a thread, as its reset or close may block; a cancellation here does not stop it."""
    block.returning()
    signal, raised = Signal(), list[BaseException]()

    def end() -> None:
        try:
            if pool.driver.tracks_calls:
                block.end(error)  # the connection object stays with its slot: it is closed before that is free
                signal.give()
            else:
                _end(pool, block, error, signal.give)
        except BaseException as failure:
            raised.append(failure)
            signal.give()

    try:
        staff_of(pool).ending.do(end)
    except RuntimeError:
        block.end(error)  # no thread is to be had
        return
    await signal.future
    if raised:
        raise raised.pop()


def _end(pool: Pool, block: TaskBlock, error: BaseException | None, over: Callable[[], object]) -> None:
    claim = pool._claim_lease(block, error)
    if claim is None:
        over()
        return
    try:
        reason = claim.judge(error, block.discarded)
        if reason is None and claim.resets and not _was_reset(pool, claim):
            reason = "error"
    except BaseException:
        close_retired(pool, claim, claim.retire("error", error))
        raise
    c = claim.give(error) if reason is None else claim.retire(reason, error)
    close_retired(pool, claim, c, over)


def _was_reset(pool: Pool, claim: Checkout) -> bool:
    try:
        pool.driver.reset(claim.connection)
    except Exception as error:
        pool._log_driver_error("reset", error)
        return False
    return claim.tidied()
