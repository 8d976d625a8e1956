"""The session that a lease gives: its requests hold the lease's permit until the driver has ended them."""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any, NoReturn

from ..._async.worker_calls import Signal
from ..._errors import LeaseError
from .permit import Request
from .timeouts import UNSET, Budget
from .workers import by_worker

if TYPE_CHECKING:
    from ..._base import BasePool
    from .permit import Permit

# The arguments of the driver's execute_async that follow those which its execute has in another order.
_FURTHER = ("execution_profile", "paging_state", "host", "execute_as")


class LeasedSession:
    """The driver's session for the length of one lease; every attribute and method is the session's own.

    A request gets as its timeout what the wait for the permit has left of the lease's, if that is shorter than its own.
    LeaseError for a request after the lease.
    """

    __slots__ = ("_budget", "_held", "_permit", "_pool", "_session")
    _budget: Budget
    _held: bool
    _permit: Permit
    _pool: BasePool

    def __init__(self, pool: BasePool, permit: Permit, session: Any, budget: Budget) -> None:
        for name, value in zip(self.__slots__, (budget, True, permit, pool, session), strict=True):
            object.__setattr__(self, name, value)

    def execute(self, query: Any, parameters: Any = None, timeout: Any = UNSET, *args: Any, **kwargs: Any) -> Any:
        """Send a request and return its ResultSet, as the driver's ``execute`` does, with its arguments."""
        return self.execute_async(query, parameters, timeout=timeout, **_as_in_execute(args, kwargs)).result()

    def execute_async(
        self,
        query: Any,
        parameters: Any = None,
        trace: bool = False,
        custom_payload: Any = None,
        timeout: Any = UNSET,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Send a request and return its ResponseFuture, as the driver's ``execute_async`` does.

        The permit stays taken until the request has ended, also after the block.
        """
        given = {"trace": trace, "custom_payload": custom_payload} | dict(zip(_FURTHER, args, strict=False)) | kwargs
        given = {name: value for name, value in given.items() if value}
        limit = self._budget.of_request(self._session, timeout, given.get("execution_profile"))
        request = self._begin()
        try:
            future = self._session.execute_async(query, parameters, timeout=limit, **given)
        except BaseException:
            request.end()
            raise
        return TrackedFuture(self, future, request)

    def prepare(self, *args: Any, **kwargs: Any) -> Any:
        """Prepare a statement, as the driver's ``prepare`` does. The driver gives it its own timeout."""
        request = self._begin()
        try:
            return self._session.prepare(*args, **kwargs)
        finally:
            request.end()

    def __getattr__(self, name: str) -> Any:
        value = getattr(_inner(self, "_session", name), name)
        function = getattr(value, "__func__", None)
        if function is not None and getattr(value, "__self__", None) is self._session:
            return MethodType(function, self)  # so that what the method sends is counted here, too
        return value

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(
            f"{name} cannot be set on a leased session: all leases share one session, so set it there, before it is "
            "used, or give execute() an execution profile"
        )

    def __repr__(self) -> str:
        return f"<{'' if self._held else 'ended '}lease of {self._session!r} from pool {self._pool.name!r}>"

    def _check_held(self) -> None:
        if not self._held:
            raise LeaseError(
                f"this session's lease from pool {self._pool.name!r} has ended: send requests inside its block"
            )

    def _begin(self) -> Request:
        self._check_held()
        return Request(self._permit)

    def _end(self) -> Permit:
        object.__setattr__(self, "_held", False)
        return self._permit


def _inner(outer: Any, attribute: str, wanted: str) -> Any:
    """The object that ``outer`` wraps. AttributeError if it is not set yet, as in a copy that is being made."""
    if wanted in type(outer).__slots__:
        raise AttributeError(wanted)
    return getattr(outer, attribute)


def _as_in_execute(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(("trace", "custom_payload", *_FURTHER), args, strict=False)) | kwargs


class TrackedFuture:
    """The driver's ResponseFuture, which tells the permit when it is done; everything else is the driver's own."""

    __slots__ = ("_future", "_leased", "_request")

    def __init__(self, leased: LeasedSession, future: Any, request: Request) -> None:
        self._leased = leased
        self._future = future
        self._request = request
        # The first callback: the driver calls none after one that raises.
        future.add_callbacks(request.end, request.end)

    def clear_callbacks(self) -> None:
        """Clear the callbacks, but for the permit's own."""
        self._future.clear_callbacks()
        self._future.add_callbacks(self._request.end, self._request.end)

    def start_fetching_next_page(self) -> None:
        """Send the request for the next page, under the same permit."""
        self._leased._check_held()
        self._request.begin()
        try:
            self._future.start_fetching_next_page()
        except BaseException:
            self._request.end()
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(_inner(self, "_future", name), name)

    def __await__(self) -> Any:
        return _answer(self._future).__await__()


async def _answer(future: Any) -> Any:
    """The result of a ResponseFuture, awaited in the running loop."""
    signal = Signal()
    future.add_callbacks(lambda _: signal.give(), lambda _: signal.give())
    await signal.future
    return future.result()


class AwaitingSession:
    """A leased session whose ``execute`` and ``prepare`` are awaited; everything else is the driver's session's own.

    A task that is cancelled while it awaits an answer leaves the request to the driver, which keeps the permit.
    """

    __slots__ = ("_leased",)

    def __init__(self, leased: LeasedSession) -> None:
        self._leased = leased

    async def execute(self, query: Any, parameters: Any = None, timeout: Any = UNSET, *args: Any, **kwargs: Any) -> Any:
        """Send a request and await its ResultSet; the arguments are those of the driver's ``execute``.

        A ResultSet fetches its later pages by blocking: give ``paging_state`` to another ``execute`` instead.
        """
        given = _as_in_execute(args, kwargs)
        return await self._leased.execute_async(query, parameters, timeout=timeout, **given)

    async def prepare(self, *args: Any, **kwargs: Any) -> Any:
        """Prepare a statement, in a thread of the pool's: the driver does it only by blocking."""
        leased = self._leased
        return await by_worker(leased._pool, lambda: leased.prepare(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(_inner(self, "_leased", name), name)

    def __repr__(self) -> str:
        return f"<awaiting {self._leased!r}>"
