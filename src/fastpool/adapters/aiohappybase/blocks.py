"""The blocks of `async with` besides a plain lease: a lease with a table prefix, and a table."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..._core import AsyncLease
from ..._core.decorate import leased_task
from .._thrift.prefix import BasePrefixedLease
from .table import Table


class LeaseBlock:
    """A ``async with`` block that holds a lease; what it gives is made of the connection by ``_begun``."""

    __slots__ = ()

    _lease: Any

    def _begun(self, connection: Any) -> Any:
        raise NotImplementedError

    def _ending(self) -> None:
        """Before the lease ends."""

    async def __aenter__(self) -> Any:
        connection = await self._lease.__aenter__()
        try:
            return self._begun(connection)
        except BaseException as error:
            await self._lease.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ending()
        finally:
            await self._lease.__aexit__(kind, error, trace)


class PrefixedLease(BasePrefixedLease[AsyncLease[Any]], LeaseBlock):
    """A :class:`fastpool.AsyncLease` with a prefix, for one block; it has all that a lease has."""

    __slots__ = ()

    def __call__(self, function: Any) -> Any:
        """As a decorator: every call of the coroutine function runs inside a lease of its own."""
        return leased_task(self._again, function)


class TableBlock(LeaseBlock):
    """A ``async with`` block that holds a lease and gives one table of its connection."""

    __slots__ = ("_lease", "_name")

    def __init__(self, lease: Any, name: str | bytes) -> None:
        self._lease = lease
        self._name = name

    def _begun(self, connection: Any) -> Table:
        table: Table = connection.table(self._name)
        return table

    if TYPE_CHECKING:

        async def __aenter__(self) -> Table: ...
