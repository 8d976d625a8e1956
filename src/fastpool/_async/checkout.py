"""A checkout by awaiting: what the compiled steps ask for is done with an ``await`` where a thread would block.

The checkout owns the slot between the steps. Whatever ends this coroutine, a cancellation at any point included, the
checkout gives the slot back when it is dropped, at the latest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .._core import STEP_CHECK, STEP_CONNECT, STEP_READY, STEP_WAIT

if TYPE_CHECKING:
    from .._base import BasePool
    from .._core import Checkout


class DriverCalls(Protocol):
    """How a pool's driver is called for a task: awaited in the task's loop, or by a worker."""

    async def connect(self, checkout: Checkout) -> None: ...
    async def check(self, checkout: Checkout) -> None: ...
    def close(self, c: Any) -> None: ...


async def obtain(pool: BasePool, checkout: Checkout, calls: DriverCalls) -> None:
    """See that a connection that is fit for use is in hand. Raises as ``Pool.connection`` does."""
    try:
        checkout.begin()
        while (step := checkout.step()) != STEP_READY:
            if step == STEP_WAIT:
                await checkout
            elif step == STEP_CONNECT:
                await calls.connect(checkout)
            elif step == STEP_CHECK:
                await calls.check(checkout)
            else:
                close_all(pool, calls.close, checkout.closing())
    except BaseException as error:
        close_all(pool, calls.close, checkout.failed(error))
        raise


async def open_one(pool: BasePool, checkout: Checkout, calls: DriverCalls, opened: list[Any] | None = None) -> None:
    """Open the connection for which there is room in hand, and put it into the pool for the next caller."""
    try:
        await calls.connect(checkout)
        checkout.put(opened)
    except BaseException:
        close_all(pool, calls.close, checkout.dropped())
        raise
    close_all(pool, calls.close, checkout.closing())


def close_all(pool: BasePool, close: Callable[[Any], object], detached: list[tuple[Any, Any, str]]) -> None:
    """Close connections that have no slot any more, and tell of it: (connection, server, reason) of each."""
    for c, server, reason in detached:
        close(c)
        pool._tell("closed_connection", server=server, connection=c, reason=reason)
    if detached:
        pool._capacity_lost()
