"""The blocks of `with` besides a plain lease: a lease with a table prefix, and a table."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..._core import Lease
from ..._core.decorate import leased
from .._thrift.prefix import BasePrefixedLease
from .table import Table


class LeaseBlock:
    """A ``with`` block that holds a lease; ``_begun`` makes its value from the connection."""

    __slots__ = ()

    _lease: Any

    def _begun(self, connection: Any) -> Any:
        raise NotImplementedError

    def _ending(self) -> None:
        """Clean up before the lease ends."""

    def __enter__(self) -> Any:
        connection = self._lease.__enter__()
        try:
            return self._begun(connection)
        except BaseException as error:
            self._lease.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ending()
        finally:
            self._lease.__exit__(kind, error, trace)


class PrefixedLease(BasePrefixedLease[Lease[Any]], LeaseBlock):
    """A :class:`fastpool.Lease` with a table prefix, for one block."""

    __slots__ = ()

    def __call__(self, function: Any) -> Any:
        """As a decorator: every call of ``function`` runs inside a lease of its own."""
        return leased(self._again, function)


class TableBlock(LeaseBlock):
    """A ``with`` block that holds a lease and gives one table of its connection."""

    __slots__ = ("_lease", "_name")

    def __init__(self, lease: Any, name: str | bytes) -> None:
        self._lease = lease
        self._name = name

    def _begun(self, connection: Any) -> Table:
        table: Table = connection.table(self._name)
        return table

    if TYPE_CHECKING:

        def __enter__(self) -> Table: ...
