"""Pool: any kind of connection, for synchronous code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine

from ._base import BasePool
from ._connecting.behind import go_on
from ._connecting.opening import NAP_S, Opening, warming
from ._core import BlockingCore, clock, deadline_after, seconds_to_ns
from ._core.greenlets import pause
from ._keeper.keeper import keeper
from ._light.hints import TYPE_CHECKING, Any, C, Self, Unpack

if TYPE_CHECKING:
    from types import TracebackType
    from typing import overload

    from ._core import AsyncLease, Checkout
    from ._driver import Driver
    from ._options import KeepOn, PoolOptions


class Pool(BasePool[C], BlockingCore[C]):
    """A pool of connections of any kind.

    ``Pool(connect, close=…, check=…, reset=…, fileno=…, keep_on=(), **options)``, or ``Pool(driver=driver,
    **options)``; docs/options.md has the options. TypeError or ValueError for a bad one, naming it.

    Safe to share between threads, greenlets and tasks; one that is used after a fork begins anew in the child. Close it
    (`with pool:` does): where threads run without the GIL, a pool that is only dropped keeps its connections.
    """

    if TYPE_CHECKING:

        @overload
        def __init__(
            self,
            connect: Callable[..., C],
            *,
            close: Callable[[C], object] | None = None,
            check: Callable[..., bool] | None = None,
            reset: Callable[[C], object] | None = None,
            fileno: Callable[[C], int] | None = None,
            keep_on: KeepOn = (),
            **options: Unpack[PoolOptions],
        ) -> None: ...
        @overload
        def __init__(self, *, driver: Driver[C], **options: Unpack[PoolOptions]) -> None: ...
        def __init__(self, *args: Any, **options: Any) -> None: ...

    # ---- life ---------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open ``min_size`` connections, and begin to keep them so. May be called again; PoolClosed once it is closed.

        If several call it at once, each returns when all are open. Each connect has at most the pool's ``timeout``.
        If one fails, what this call has opened is closed again.
        """
        opening = Opening(self, self._least(), None, self.config.timeout)
        try:
            opening.begin()
            self._open_up_to(opening)
            opening.succeeded()
        except BaseException:
            opening.failed()
            raise

    def close(self, timeout: float | None = None) -> None:
        """Close the pool: idle connections now, leased ones when they come back; waiters get PoolClosed.

        ``timeout``: wait so many seconds for those that are out, and take them away then; their blocks end quietly.
        It may be called again. A closed pool stays closed.
        """
        deadline = deadline_after(timeout)
        first = self._shut()
        try:
            self._retire_idle("closed", 0)
            if timeout is not None:
                self._wait_for_leases(deadline)
                self._drop_leased()
        finally:
            keeper.forget(self)
            self._leave_shared()
            if first:
                self._tell("pool_closed")

    def warm(self, n: int | None = None, timeout: float | None = None) -> int:
        """Open connections until ``n`` (default ``max_size``) are open; return how many are.

        ``timeout``: seconds to spend at most. Raises what the driver's connect raises.
        """
        self._open_up_to(warming(self, n, timeout))
        return len(self)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- its parts ---------------------------------------------------------------------------------------------------

    def _open_in_constructor(self) -> None:
        if self.config.open:
            try:
                self.open()
            except BaseException:
                # nobody will ever have this pool, to close what it opened
                self._shut()
                self._retire_idle("closed", 0)
                keeper.forget(self)
                self._leave_shared()
                raise

    def _open_up_to(self, opening: Opening) -> None:
        while opening.goes_on:
            limit = seconds_to_ns("timeout", opening.seconds_left)
            if not (opening.is_short and self._open_one(limit, opening.opened)):
                if self._is_short_of_permits and not self._connecting:  # else what others open now is waited for
                    return
                pause(NAP_S)

    def _wait_for_leases(self, deadline: float) -> None:
        nap = 0.0005
        while True:
            _, leased, connecting, *_ = self._counts()
            left = deadline - clock()
            if not (leased or connecting) or left <= 0:
                return
            pause(min(nap, left))
            nap = min(nap * 2, 0.02)

    # ---- what the core asks for ------------------------------------------------------------------------------------

    def _obtain(self, checkout: Checkout) -> Coroutine[Any, Any, None]:
        """A task's checkout that cannot be had at once; connects and checks are made in threads of the pool's own."""
        from ._async.checkout import obtain
        from ._async.worker_calls import WorkerCalls

        if self._lacks_keeper:
            self._go_on_keeping()
        return obtain(self, checkout, WorkerCalls(self))

    def _give_back(self, block: AsyncLease, error: BaseException | None) -> Coroutine[Any, Any, None]:
        """The end of a task's lease that may block."""
        from ._async.worker_calls import check_in_by_worker

        return check_in_by_worker(self, block, error)

    def _go_on_connecting(self, checkout: Checkout) -> None:
        """The time of the caller that connected is over: the connect goes on, for later callers."""
        go_on(self, checkout)
