"""Tables and scans bound to the lease under which they were made: the part that threads and tasks share."""

# mypy: warn-return-any=False

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..._core import Entry


class LeasedTable:
    """Mixed into a library's Table, which reaches the server through ``connection``: fenced with the lease's epoch."""

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
        """Whether the connection was closed, by an interrupted call or by the user, and is not reopened by itself."""
        return not self._leased.client.is_open() and not self._entry.renew


class ScanSide:
    """Stands for table, connection and client in a library's scan(), which then never closes its scanner by itself.

    It would do so in a finalizer: at any time, in any thread or task, and during another call.
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
        """Whether it opened a scanner that is still open, on a transport that is."""
        client = self._table._leased.client
        return self._scanner in client.scanners and client.is_open()
