"""Blocking calls, made for tasks by the pool's worker threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..._async.worker_calls import Signal
from ..._async.workers import staff_of

if TYPE_CHECKING:
    from ..._base import BasePool
    from ..._core import Checkout

T = TypeVar("T")


async def by_worker(pool: BasePool, call: Callable[[], T]) -> T:
    """Run ``call`` in a worker thread; return its result. It goes on if the task is cancelled; its result is lost."""
    signal = Signal()
    returned: list[T] = []
    raised: list[BaseException] = []

    def work() -> None:
        try:
            returned.append(call())
        except BaseException as error:
            raised.append(error)
        signal.give()

    staff_of(pool).ending.do(work)
    await signal.future
    if raised:
        raise raised.pop()
    return returned[0]


class DirectCalls:
    """The driver's calls for a task's checkout, made in its loop: making a permit does not block."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def connect(self, checkout: Checkout) -> None:
        """Make the permit."""
        checkout.open()

    async def check(self, checkout: Checkout) -> None:
        """Accept the permit: it has nothing that could break."""
        checkout.check_begins()
        checkout.checked(True)

    def close(self, c: Any) -> None:
        """Have the driver forget the permit, which does not block."""
        self._driver.close(c)
