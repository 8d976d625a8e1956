"""The blocks that hold a lease of the shared session."""

from __future__ import annotations

from contextlib import AsyncContextDecorator, ContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..._core import AnyLease, clock
from ..._errors import LeaseError
from ..._pool import Pool

if TYPE_CHECKING:
    from .permit import Permit
    from .session import LeasedSession


class Leases(Protocol):
    """The methods of the pool that a block calls."""

    def _leased(self, permit: Permit, timeout: float | None, began: float) -> LeasedSession: ...
    def _awaiting(self, leased: LeasedSession) -> Any: ...
    def _release(self, leased: LeasedSession, lease: AnyLease[Any]) -> None: ...


class _Block:
    """One lease, for one block only."""

    def __init__(self, pool: Leases, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._lease: AnyLease[Any] | None = None
        self._leased: LeasedSession | None = None

    def _recreate_cm(self) -> Self:
        """A new block, with a lease of its own, for each call of a decorated function."""
        return type(self)(self._pool, self._timeout)

    def _begin(self, of: Any) -> Any:
        if self._lease is not None:
            raise LeaseError("a lease is good for one block: call pool.session() for each")
        lease = self._lease = of(self._pool, self._timeout)
        return lease

    def _end(self) -> None:
        if self._leased is None or self._lease is None:
            raise LeaseError("this block has not begun")
        self._pool._release(self._leased, self._lease)


class SessionBlock(_Block, ContextDecorator):
    """A ``with`` block that gives the session."""

    def __enter__(self) -> LeasedSession:
        began = clock()
        permit = self._begin(Pool.connection).__enter__()
        self._leased = self._pool._leased(permit, self._timeout, began)
        return self._leased

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()


class AsyncSessionBlock(_Block, AsyncContextDecorator):
    """An ``async with`` block that gives the session, whose ``execute`` is awaited."""

    async def __aenter__(self) -> Any:
        began = clock()
        permit = await self._begin(Pool.aconnection).__aenter__()
        self._leased = self._pool._leased(permit, self._timeout, began)
        return self._pool._awaiting(self._leased)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
