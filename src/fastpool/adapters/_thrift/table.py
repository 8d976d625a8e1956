"""Tables and scans that know under which lease they were made; the part that threads and tasks share."""

# mypy: warn-return-any=False

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..._core import Entry


class LeasedTable:
    """The part of a library's Table through which it reaches the server: fenced with the lease's epoch."""

    def __init__(self, name: bytes, connection: Any, entry: Entry, epoch: int) -> None:
        self.name = name
        self._leased = connection
        self._entry = entry
        self._epoch = epoch

    @property
    def connection(self) -> Any:
        """The connection, as long as the lease lasts."""
        self._entry.fence(self._epoch)
        return self._leased

    @property
    def lost(self) -> bool:
        """Whether the connection was closed, by an interrupted call or by hand, and does not come back by itself."""
        return not self._leased.client.is_open() and not self._entry.renew


class ScanSide:
    """Table, connection and client to a library's scan(), which then never closes its scanner by itself.

    It would do so from a finalizer, at any time, in any thread or task and in any order.
    """

    def __init__(self, table: LeasedTable) -> None:
        self.name = table.name
        self._table = table
        self._scanner: int | None = None

    @property
    def connection(self) -> Any:
        return self

    @property
    def client(self) -> Any:
        return self

    @property
    def compat(self) -> str:
        compat: str = self._table.connection.compat
        return compat

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._table.connection.client, method)
        return functools.partial(self._open, call) if method.startswith("scannerOpen") else call

    def _open(self, call: Any, *args: Any) -> Any:
        raise NotImplementedError

    @property
    def _to_close(self) -> bool:
        """Whether it opened a scanner, on a connection that is still there."""
        return self._scanner is not None and self._table._leased.client.is_open()
