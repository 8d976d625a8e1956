"""The leases of a RegionPool, for `with` statements: a place in the line of all callers, and a gateway's connection."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..._core import clock, deadline_after
from ..._core.decorate import leased, leased_task
from ..._errors import LeaseError
from .._thrift.prefix import Prefix

if TYPE_CHECKING:
    import happybase


class Permit:
    """Stands for one connection of any gateway: what callers of a RegionPool wait for, all in one line."""

    __slots__ = ("__weakref__", "blocks")

    def __init__(self) -> None:
        self.blocks: list[tuple[int, Prefix]] = []  # of its holder: the gateway and the prefix of each, the inner last

    @property
    def held(self) -> list[int]:
        """The gateways of which the holder has a connection, which nested blocks share; the last one first."""
        return list(dict.fromkeys(number for number, _ in reversed(self.blocks)))

    def inherit(self, prefix: Prefix) -> Prefix:
        """The prefix of a block inside the holder's others: without one of its own it has the outer one's."""
        return self.blocks[-1][1] if prefix.text is None and self.blocks else prefix


class Wanted(NamedTuple):
    """The arguments of a checkout."""

    table: bytes | None
    row: bytes | None
    timeout: Any  # as given; ... for the pool's own
    prefix: Prefix


class BaseRegionLease:
    """One checkout of a RegionPool, good for one block, which its subclasses enter and leave."""

    __slots__ = ("_block", "_connection", "_discard", "_lease", "_permit", "_place", "_pool", "_wanted")

    def __init__(self, pool: Any, wanted: Wanted) -> None:
        self._pool = pool
        self._wanted = wanted
        self._place: Any = None  # the lease of the permit
        self._permit: Permit | None = None
        self._lease: Any = None  # the lease of the gateway's connection
        self._block: tuple[int, Prefix] | None = None
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
        """The time now, and the deadline of this checkout; LeaseError if it was entered before."""
        if self._place is not None:
            raise LeaseError("a lease is good for one block: call pool.connection() for each")
        timeout = self._wanted.timeout
        return clock(), deadline_after(self._pool.config.timeout if timeout is ... else timeout)

    def _has(self, number: int, lease: Any, permit: Permit, prefix: Prefix) -> Any:
        """Note that the block has a connection of the gateway ``number``; the connection."""
        self._lease = lease
        if self._discard:
            lease.discard()
        self._connection = connection = self._pool.router.note(lease.connection)
        self._block = number, prefix
        permit.blocks.append(self._block)
        connection.push_prefix(prefix)
        return connection

    def _ending(self, error: BaseException | None) -> None:
        """Before the leases end."""
        connection, self._connection = self._connection, None
        block, self._block = self._block, None
        if block is not None and self._permit is not None:
            self._permit.blocks = [one for one in self._permit.blocks if one is not block]
            connection.pop_prefix(block[1])
        if error is not None:
            self._pool.router.regions.heard(error)

    def _again(self) -> Self:
        """Make such a lease anew, for a call of a decorated function."""
        return type(self)(self._pool, self._wanted)


class RegionLease(BaseRegionLease):
    """One checkout of a RegionPool by a thread or greenlet: ``with``, or a decorator."""

    __slots__ = ()

    def __enter__(self) -> happybase.Connection:
        began, deadline = self._begin()
        pool, wanted, router = self._pool, self._wanted, self._pool.router
        place = self._place = pool._place(wanted.timeout)
        permit = self._permit = place.__enter__()
        lease = None
        try:
            waited = clock() - began
            prefix = permit.inherit(wanted.prefix)
            preferred = router.beside(wanted, prefix, deadline)
            number, lease = router.route(router.tries(preferred, permit, deadline, waited), _entered)
            return self._has(number, lease, permit, prefix)
        except BaseException as error:
            if lease is not None:
                lease.__exit__(type(error), error, error.__traceback__)
            pool._note_unused()
            place.__exit__(None, None, None)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                self._ending(error)
            finally:
                self._lease.__exit__(kind, error, trace)
        finally:
            self._place.__exit__(None, None, None)

    def __call__(self, function: Any) -> Any:
        """As a decorator: every call of ``function`` runs inside a lease of its own."""
        return leased(self._again, function)


class AsyncRegionLease(BaseRegionLease):
    """One checkout of a RegionPool by a task: ``async with``, or a decorator."""

    __slots__ = ()

    async def __aenter__(self) -> happybase.Connection:
        began, deadline = self._begin()
        pool, wanted, router = self._pool, self._wanted, self._pool.router
        place = self._place = pool._aplace(wanted.timeout)
        permit = self._permit = await place.__aenter__()
        lease = None
        try:
            waited = clock() - began
            prefix = permit.inherit(wanted.prefix)
            preferred = await router.abeside(wanted, prefix, deadline)
            number, lease = await router.aroute(router.tries(preferred, permit, deadline, waited))
            return self._has(number, lease, permit, prefix)
        except BaseException as error:
            if lease is not None:
                await lease.__aexit__(type(error), error, error.__traceback__)
            pool._note_unused()
            await place.__aexit__(None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            try:
                self._ending(error)
            finally:
                await self._lease.__aexit__(kind, error, trace)
        finally:
            await self._place.__aexit__(None, None, None)

    def __call__(self, function: Any) -> Any:
        """As a decorator of a coroutine function: every call of it runs inside a lease of its own."""
        return leased_task(self._again, function)


def _entered(pool: Any, seconds: float | None) -> Any:
    lease = pool.connection(seconds)
    lease.__enter__()
    return lease
