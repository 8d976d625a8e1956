"""Tables, batches and scans bound to the lease under which they were made: they fail once it is over."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import happybase
import happybase.batch
import happybase.table

from ..._errors import LeaseError
from .._thrift.codec import codec
from .._thrift.queued import Queued
from .._thrift.table import LeasedTable, ScanSide
from .scan import compiled_scan


class Table(LeasedTable, happybase.Table):
    """A happybase.Table that raises LeaseError when used after the lease it was made under.

    Batches and scans reach the server through ``connection`` here, so they are fenced with it.
    """

    if codec is not None:
        row = codec.table_row
        rows = codec.table_rows
        cells = codec.table_cells
        counter_inc = codec.table_counter_inc
        put = codec.table_put

    def batch(
        self, timestamp: int | None = None, batch_size: int | None = None, transaction: bool = False, wal: bool = True
    ) -> Batch:
        """Return a batch, for use under this lease only."""
        return Batch(self, timestamp, batch_size, transaction, wal)

    def scan(self, *args: Any, **kwargs: Any) -> Iterator[tuple[bytes, dict[bytes, Any]]]:
        """Scan as happybase does; LeaseError at the first row after the end of the lease."""
        scan = _Scan(self)
        thread = threading.get_ident()
        fence, epoch = self._entry.fence, self._epoch
        fence(epoch)
        try:
            # Many rows are fetched at once; the remaining ones end with the lease, too (compiled ones by themselves).
            if (batches := compiled_scan(scan, self, args, kwargs)) is not None:
                for rows in batches:
                    yield from rows
            else:
                for row in happybase.Table.scan(scan, *args, **kwargs):
                    yield row
                    fence(epoch)
        finally:
            # In the scanning thread this is the end of the loop, or a break. In another one it is
            # the garbage collector, which must not send on a connection that its holder may be about
            # to use: the checkin closes the scanner.
            if threading.get_ident() == thread:
                scan.close()


class Batch(Queued, happybase.Batch):
    """A happybase.Batch that sends nothing on a lost connection, so that the error of its block is not hidden."""

    if codec is not None:
        put = codec.batch_put
        delete = codec.batch_delete
        send = codec.batch_send

    def _convert(self, made: list[Any], queued: list[Any]) -> None:
        made.extend(codec.mutations_of(queued))

    def _reset_mutations(self) -> None:
        super()._reset_mutations()
        if codec is not None:
            self._queued = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or not self._table.lost:
            super().__exit__(kind, error, trace)


class _Scan(ScanSide, happybase.Table):
    """Stands for table, connection and client in happybase's scan()."""

    def _open(self, call: Callable[..., int], *args: Any) -> int:
        self._scanner = call(*args)
        return self._scanner

    def scannerClose(self, scanner: int) -> None:
        """Do nothing: :meth:`close` closes the scanner."""

    def close(self) -> None:
        """Close the scanner on the server, if this scan opened one and its lease lasts."""
        if not self._to_close:
            return
        try:
            self._table.connection.client.scannerClose(self._scanner)
        except LeaseError:
            # The lease is over, and its scanners are closed; or a call is under way, and the checkin closes them.
            pass


if codec is not None:
    _shortcuts = codec.Shortcuts(happybase.table, happybase.batch)
    _shortcuts.serve(Table, Batch)
    codec.use_in_threads(_shortcuts)
