"""Tables, batches and scans that know under which lease they were made, and fail once it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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
        """Scan as happybase does; LeaseError from the first row that is asked for after the lease."""
        rows = _Scanned(self.name, self._leased, self._seat, self._epoch)
        return rows.fenced(happybase.Table.scan(rows, *args, **kwargs))


class _Scanned(Table):
    """The table as one scan sees it, so that the scan can be cut off from the server."""

    _cut_off = False

    @property
    def connection(self) -> happybase.Connection:
        if self._cut_off:
            raise LeaseError(f"the scan of {self.name!r} was cut off")
        return super().connection

    def fenced(self, rows: Any) -> Iterator[tuple[bytes, dict[bytes, Any]]]:
        fence = self._seat.fence
        epoch = self._epoch
        thread = threading.get_ident()
        fence(epoch)
        try:
            for row in rows:
                yield row
                # happybase fetches many rows at once; those it has left were not asked for under this lease either.
                fence(epoch)
        except BaseException:
            # In the thread that scans this is a break, and the scanner is closed right away. Elsewhere it is the
            # garbage collector, which must not talk on a connection that its holder may be about to use.
            self._cut_off = threading.get_ident() != thread or not self._leased.client.is_open()
            try:
                rows.close()
            except LeaseError:
                # The lease is over, and took its scanners along; or a call is under way, and the checkin will.
                pass
            raise
