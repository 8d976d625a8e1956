"""Tables, batches and scans that know under which lease they were made, and fail once it is over."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import happybase
import happybase.table

from .._errors import LeaseError

if TYPE_CHECKING:
    from .._core import Seat


class Table(happybase.Table):
    """A happybase.Table that raises LeaseError when used after the lease it was made under.

    Batches and scans reach the server through ``connection`` here, so they are fenced with it.
    """

    def __init__(self, name: bytes, connection: happybase.Connection, seat: Seat, epoch: int) -> None:
        self.name = name
        self._leased = connection
        self._seat = seat
        self._epoch = epoch

    def __repr__(self) -> str:
        return f"<{happybase.table.__name__}.{type(self).__name__} name={self.name!r}>"

    @property
    def connection(self) -> happybase.Connection:
        """The connection, as long as the lease lasts."""
        self._seat.fence(self._epoch)
        return self._leased

    def scan(self, *args: Any, **kwargs: Any) -> Iterator[tuple[bytes, dict[bytes, Any]]]:
        """Scan as happybase does; LeaseError for the first row that is asked for after the lease."""
        scan = _Scan(self)
        thread = threading.get_ident()
        fence, epoch = self._seat.fence, self._epoch
        fence(epoch)
        try:
            for row in happybase.Table.scan(scan, *args, **kwargs):
                yield row
                # happybase fetches many rows at once; those it has left were not asked for under this lease either.
                fence(epoch)
        finally:
            # In the thread that scans this is the end, or a break. Elsewhere it is the garbage collector, which must
            # not talk on a connection that its holder may be about to use: the checkin closes the scanner.
            if threading.get_ident() == thread:
                scan.close()


class _Scan(happybase.Table):
    """Table, connection and client to happybase's scan(), which then never closes its scanner by itself.

    It would do so from a finalizer, at any time, in any thread and in any order.
    """

    def __init__(self, table: Table) -> None:
        self.name = table.name
        self._table = table
        self._scanner: int | None = None

    @property
    def connection(self) -> _Scan:
        return self

    @property
    def client(self) -> _Scan:
        return self

    @property
    def compat(self) -> str:
        compat: str = self._table.connection.compat
        return compat

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._table.connection.client, method)
        return functools.partial(self._open, call) if method.startswith("scannerOpen") else call

    def _open(self, call: Callable[..., int], *args: Any) -> int:
        self._scanner = call(*args)
        return self._scanner

    def scannerClose(self, scanner: int) -> None:
        """Not from here."""

    def close(self) -> None:
        """Close the scanner on the server, if this scan opened one and its lease lasts."""
        if self._scanner is None or not self._table._leased.client.is_open():
            return
        try:
            self._table.connection.client.scannerClose(self._scanner)
        except LeaseError:
            # The lease is over, and took its scanners along; or a call is under way, and the checkin will.
            pass
