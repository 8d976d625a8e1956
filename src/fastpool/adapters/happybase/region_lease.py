"""What a RegionPool gives for a `with` statement: a place in the one line of all callers, and a gateway's connection."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._core import clock, deadline_after
from ..._core.decorate import leased, leased_task
from ..._errors import LeaseError

if TYPE_CHECKING:
    from .region_pool import RegionPool


class Permit:
    """Stands for one connection of any gateway: what callers of a RegionPool wait for, all in one line."""

    __slots__ = ("__weakref__", "held")

    def __init__(self) -> None:
        self.held: list[int] = []  # the gateways of which its holder has a connection, which nested blocks share


class Wanted(NamedTuple):
    """What a checkout was asked for."""

    table: bytes | None  # its whole name, prefix included
    row: bytes | None
    timeout: Any  # as given
    prefix: dict[str, Any]  # what the gateway's own pool is asked for, too


class RegionLease:
    """One checkout of a RegionPool, as a context manager or a decorator; good for one block."""

    __slots__ = ("_connection", "_discard", "_lease", "_number", "_permit", "_place", "_pool", "_wanted")

    def __init__(self, pool: RegionPool, wanted: Wanted) -> None:
        self._pool = pool
        self._wanted = wanted
        self._place: Any = None  # the lease of the permit
        self._permit: Permit | None = None
        self._lease: Any = None  # the lease of the gateway's connection
        self._number = -1
        self._connection: Any = None
        self._discard = False

    @property
    def connection(self) -> Any:
        """The block's connection; None outside of the block."""
        return self._connection

    @property
    def discarded(self) -> bool:
        """Whether the connection is closed at the end of the block."""
        return self._discard

    def discard(self) -> None:
        """Close the connection at the end of the block instead of returning it."""
        self._discard = True
        if self._lease is not None:
            self._lease.discard()

    def __repr__(self) -> str:
        state = "held" if self._connection is not None else "not entered" if self._place is None else "over"
        return f"<fastpool.{type(self).__name__} {state} of {self._pool.name!r}>"

    def _begin(self) -> tuple[float, float]:
        """What the time is, and when that of this checkout is over; LeaseError if it was entered before."""
        if self._place is not None:
            raise LeaseError("a lease is good for one block: call pool.connection() for each")
        timeout = self._wanted.timeout
        return clock(), deadline_after(self._pool.config.timeout if timeout is ... else timeout)

    def _has(self, number: int, lease: Any, connection: Any) -> Any:
        """Note that the block has a connection of the gateway ``number``."""
        assert self._permit is not None
        self._number, self._lease, self._connection = number, lease, connection
        self._permit.held.append(number)
        if self._discard:
            lease.discard()
        return self._pool._noted(connection)

    def _ending(self, error: BaseException | None) -> None:
        """Before the leases end."""
        self._connection = None
        if self._permit is not None and self._number in self._permit.held:
            self._permit.held.remove(self._number)
        if error is not None:
            self._pool.regions.heard(error)

    # Threads

    def __enter__(self) -> Any:
        pool, wanted = self._pool, self._wanted
        began, deadline = self._begin()
        place = self._place = pool._place(wanted.timeout)
        permit = self._permit = place.__enter__()
        waited = clock() - began
        try:
            choice = pool._choice(pool._preferred(wanted, deadline), permit, deadline, waited)
            number, seconds = next(choice)
            while True:
                lease = pool.pools[number].connection(seconds, **wanted.prefix)
                try:
                    connection = lease.__enter__()
                except Exception as error:
                    refusal = error
                else:
                    return self._has(number, lease, connection)
                number, seconds = choice.send(refusal)
                del refusal
        except BaseException:
            place.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ending(error)
            self._lease.__exit__(kind, error, trace)
        finally:
            self._place.__exit__(None, None, None)

    def __call__(self, function: Any) -> Any:
        """As a decorator: every call of ``function`` runs inside a lease of its own."""
        return leased(_Again(self._pool, self._wanted), self._wanted.timeout, function)


class AsyncRegionLease(RegionLease):
    """One checkout of a RegionPool by a task: ``async with``."""

    __slots__ = ()

    __enter__ = None  # type: ignore[assignment]
    __exit__ = None  # type: ignore[assignment]

    async def __aenter__(self) -> Any:
        pool, wanted = self._pool, self._wanted
        began, deadline = self._begin()
        place = self._place = pool._aplace(wanted.timeout)
        permit = self._permit = await place.__aenter__()
        waited = clock() - began
        try:
            choice = pool._choice(await pool._apreferred(wanted, deadline), permit, deadline, waited)
            number, seconds = next(choice)
            while True:
                lease = pool.pools[number].aconnection(seconds, **wanted.prefix)
                try:
                    connection = await lease.__aenter__()
                except Exception as error:
                    refusal = error
                else:
                    return self._has(number, lease, connection)
                number, seconds = choice.send(refusal)
                del refusal
        except BaseException:
            await place.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ending(error)
            await self._lease.__aexit__(kind, error, trace)
        finally:
            await self._place.__aexit__(None, None, None)

    def __call__(self, function: Any) -> Any:
        """As a decorator of a coroutine function: every call of it runs inside a lease of its own."""
        return leased_task(_Again(self._pool, self._wanted), self._wanted.timeout, function)


class _Again:
    """A pool as decorators see it: each of their leases is for the same row."""

    def __init__(self, pool: RegionPool, wanted: Wanted) -> None:
        self._pool = pool
        self._wanted = wanted

    def connection(self, timeout: Any) -> RegionLease:
        return RegionLease(self._pool, self._wanted)

    def aconnection(self, timeout: Any) -> AsyncRegionLease:
        return AsyncRegionLease(self._pool, self._wanted)
