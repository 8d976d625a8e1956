"""A synchronous driver, called for tasks: what may block is done by workers, threads of the pool's own.

A worker owns the slot while it connects or checks, and the permit with it. A task that leaves meanwhile leaves the
slot to the worker, which keeps what comes of it for the next caller.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from .._core import STEP_CLOSE, STEP_READY, STEP_RESET
from .._errors import OutOfTime
from .checkout import close_all
from .workers import staff_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._base import BasePool
    from .._core import AsyncLease, Checkout
    from .workers import Workers

_BEGUN, _END = 1, 2  # the questions of which only the first answer counts
_GONE = object()


class Signal:
    """A future that a task awaits while a worker works for it."""

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
    """The outcome of a step: the checkout, and what the step returned or raised."""

    __slots__ = ("checkout", "error", "value")

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.value: Any = None
        self.error: BaseException | None = None


class Step:
    """A connect or check for a task. Until it begins the slot is the task's, then the worker's, at the end whose it is
    decided.

    ``do(checkout)`` is the step; ``keep(outcome)`` does what is to be done with its slot when its task has gone.
    """

    __slots__ = ("_answers", "_checkout", "_do", "_keep", "_signal")

    def __init__(self, checkout: Checkout, do: Callable[[Checkout], Any], keep: Callable[[Outcome], None]) -> None:
        self._checkout = checkout
        self._do, self._keep = do, keep
        self._signal = Signal()
        self._answers: dict[int, object] = {}

    def __call__(self) -> None:
        """Done by a worker."""
        if self._answers.setdefault(_BEGUN, True) is not True:
            return  # its task has gone, with the slot
        outcome = Outcome(self._checkout.lend())
        try:
            outcome.value = self._do(outcome.checkout)
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
                self._keep(outcome)  # the collector at work keeps nothing: the checkout's finalizer will do
            raise
        outcome = self._leave()
        if outcome is None:
            raise OutOfTime("the time for the driver's call was over before it was")
        self._checkout.accept(outcome.checkout)
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

    def __init__(self, pool: BasePool) -> None:
        self._pool = pool
        self._staff = staff_of(pool)

    async def connect(self, checkout: Checkout) -> None:
        """Open within the time that is left. What takes longer goes on, and its connection is kept for the next."""
        try:
            if not self._pool.was_opened:
                self._pool._first_use()
            step = Step(checkout, self._open, self._keep_connected)
            await step.by(self._staff.connecting, checkout.seconds_left)
        except BaseException as error:
            if checkout.slot_in_hand:
                checkout.dropped()  # not begun: only its room is in hand
            checkout.connect_failed(error)
            raise

    async def check(self, checkout: Checkout) -> None:
        """Ask the driver's check, within the time that it may take; raising means dead.

        What takes longer goes on, and its verdict says whether the connection is kept.
        """
        left = checkout.check_begins()
        step = Step(checkout, lambda own: own.ask(), self._keep_checked)
        try:
            well: bool = await step.by(self._staff.connecting, left)
        except (OutOfTime, asyncio.CancelledError) as error:
            if checkout.slot_in_hand:
                self._leave(checkout)  # not begun: nothing is known against it
            if not isinstance(error, OutOfTime):
                raise
            checkout.check_cut_off()
        else:
            checkout.checked(well)

    def close(self, c: Any) -> None:
        """Close in a thread."""
        close_by(self._pool, c)

    # ---- what is left to the worker

    def _open(self, own: Checkout) -> None:
        try:
            own.open()
        except BaseException:
            close_all(self._pool, self.close, own.dropped())
            raise

    def _keep_connected(self, outcome: Outcome) -> None:
        if outcome.error is None:
            self._leave(outcome.checkout)

    def _keep_checked(self, outcome: Outcome) -> None:
        own = outcome.checkout
        if outcome.error is not None:
            close_all(self._pool, self.close, own.dropped())
            return
        own.checked(outcome.value)
        if own.step() == STEP_READY:
            own.put()
        close_all(self._pool, self.close, own.closing())

    def _leave(self, checkout: Checkout) -> None:
        """Put the connection into the pool for the next caller."""
        checkout.put()
        close_all(self._pool, self.close, checkout.closing())


def close_by(pool: BasePool, c: Any, over: Callable[[], object] | None = None) -> None:
    """Have a worker close ``c``, and call ``over`` then; at once if all are busy, for a close may hang."""

    def close() -> None:
        try:
            pool.driver.close(c)
        except Exception as error:
            pool._log_driver_error("close", error)
        finally:
            pool._closed_one()
            if over is not None:
                over()

    try:
        begins = staff_of(pool).closing.do(close)
    except RuntimeError:
        close()  # no thread is to be had
        return
    if not begins and over is not None:
        over()


async def check_in_by_worker(pool: BasePool, block: AsyncLease, error: BaseException | None) -> None:
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


def _end(pool: BasePool, block: AsyncLease, error: BaseException | None, over: Callable[[], object]) -> None:
    failure = None
    try:
        block.work(error)
    except BaseException as raised:
        failure = error = raised
    checkin = pool._checkin_of(block, error)
    if checkin is None:
        if failure is not None:
            raise failure  # also if close(timeout) took the connection: the block's work may be lost
        over()
        return
    try:
        step = checkin.step()
        if step == STEP_RESET:
            checkin.reset()
            step = checkin.step()
    except BaseException:
        _close(pool, checkin.failed())
        raise
    if failure is not None:
        if step == STEP_CLOSE:
            _close(pool, checkin.closing())
        raise failure
    if step == STEP_CLOSE:
        _close(pool, checkin.closing(), over)
    else:
        over()


def _close(pool: BasePool, detached: list[tuple[Any, Any, str]], over: Callable[[], object] | None = None) -> None:
    """Tell of the connections and have them closed; only then may ``over`` be called."""
    for c, server, reason in detached:
        try:
            pool._tell("closed_connection", server=server, connection=c, reason=reason)
        finally:
            close_by(pool, c, over)
    pool._capacity_lost()
