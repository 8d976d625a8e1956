"""A checkout that awaits: the steps of the compiled core, with an ``await`` where a thread would block.

The claim owns the slot between the steps. Whatever ends this coroutine, a cancellation at any point included, the
claim gives the slot back when it is dropped, at the latest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from .._connecting.connector import OutOfTime
from .._core import clock

if TYPE_CHECKING:
    from .._core import Checkout
    from .._pool import Pool


class DriverCalls(Protocol):
    """How a pool's driver is called from a task: awaited, or in a thread."""

    async def connect(self, claim: Checkout) -> None: ...
    async def check(self, claim: Checkout) -> bool: ...
    async def close(self, c: Any) -> None: ...
    def close_soon(self, c: Any) -> None: ...


async def obtain(pool: Pool, claim: Checkout, doing: DriverCalls) -> None:
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


def drop(pool: Pool, claim: Checkout, doing: DriverCalls, error: BaseException) -> None:
    """A checkout that failed with a connection in hand: it is closed, for nobody knows what state it is in."""
    if isinstance(error, GeneratorExit):
        return  # the garbage collector at work: the claim's own finalizer leaves the connection for the next to replace
    reason = "closed" if pool.closed else "error"
    c = claim.drop(reason)
    if c is not None:
        doing.close_soon(c)
        tell_closed(pool, claim, c)


def tell_closed(pool: Pool, claim: Checkout, c: Any) -> None:
    """The claim's connection has been, or is being, closed."""
    pool._tell("closed_connection", server=claim.server, connection=c, reason=claim.reason)


async def _find_fit(pool: Pool, claim: Checkout, doing: DriverCalls) -> None:
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
                if not claim.slot_in_hand:  # its thread has it, which checks still
                    _close_doubted(pool, doing, claim.suspect())
                    if late:
                        raise claim.exhausted("check") from None
                    front = True
                    continue
            if verdict is None:
                verdict = claim.checked()
        if verdict is None:
            return
        others = claim.suspect() if verdict in ("dead", "desync") else ()
        c = claim.empty(verdict)
        _close_doubted(pool, doing, others)
        await doing.close(c)
        tell_closed(pool, claim, c)
        if late or _out_of_time(claim):
            raise claim.exhausted("check")
        if claim.slot_in_hand:
            await connect(pool, claim, doing)
            return
        front = True  # it had been served; as many connects as allowed are under way


def _close_doubted(pool: Pool, doing: DriverCalls, others: Iterable[tuple[Any, Any]]) -> None:
    """Close what a check that had no answer has condemned: (connection, server) of each."""
    for c, server in others:
        doing.close_soon(c)
        pool._tell("closed_connection", server=server, connection=c, reason="dead")


def _out_of_time(claim: Checkout) -> bool:
    """Whether the deadline is past; without time to wait in line (timeout=0) there is none for a connect."""
    return claim.over and claim.seconds_left is not None


async def connect(pool: Pool, claim: Checkout, doing: DriverCalls) -> None:
    """Open the connection for which the claim has room."""
    try:
        await doing.connect(claim)
    except BaseException as error:
        if claim.slot_in_hand and not claim.connecting:  # it came, and something else failed
            drop(pool, claim, doing, error)
            raise
        late = isinstance(error, Exception) and (isinstance(error, OutOfTime) or _out_of_time(claim))
        if late and claim.slot_in_hand and not claim.for_others:
            pool._go_on_connecting(claim.go_on())
        claim.connect_failed()
        if late and not claim.behind:
            raise claim.exhausted("connect") from error
        raise
