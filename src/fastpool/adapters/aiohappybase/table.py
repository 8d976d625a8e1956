"""Tables, batches and scans bound to the lease under which they were made: they fail once it is over."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from types import TracebackType
from typing import Any

import aiohappybase
import aiohappybase.batch

from ..._errors import LeaseError
from .._thrift.codec import codec
from .._thrift.table import LeasedTable, ScanSide
from . import shortcuts
from .scan import compiled_scan


class Table(LeasedTable, aiohappybase.Table):
    """An aiohappybase.Table that raises LeaseError when used after the lease it was made under.

    Batches and scans reach the server through ``client`` here, so they are fenced with it.
    """

    @property
    def client(self) -> _LeasedClient:
        """The connection's client, as long as the lease lasts; its methods check that again when they are called."""
        return _LeasedClient(self)

    if codec is not None:
        row = shortcuts.row
        rows = shortcuts.rows
        cells = shortcuts.cells
        counter_inc = shortcuts.counter_inc
        put = shortcuts.put

    def batch(
        self, timestamp: int | None = None, batch_size: int | None = None, transaction: bool = False, wal: bool = True
    ) -> Batch:
        """Return a batch, for use under this lease only."""
        return Batch(self, timestamp, batch_size, transaction, wal)

    async def scan(self, *args: Any, **kwargs: Any) -> AsyncIterator[tuple[bytes, dict[bytes, Any]]]:
        """Scan as aiohappybase does; LeaseError at the first row after the end of the lease."""
        scan = _Scan(self)
        task = asyncio.current_task()
        fence, epoch = self._entry.fence, self._epoch
        fence(epoch)
        try:
            # Many rows are fetched at once; the remaining ones end with the lease, too (compiled ones by themselves).
            if (compiled := compiled_scan(scan, self, args, kwargs)) is not None:
                async with aclosing(compiled) as batches:
                    async for rows in batches:
                        for row in rows:
                            yield row
            else:
                async with aclosing(aiohappybase.Table.scan(scan, *args, **kwargs)) as found:
                    async for row in found:
                        yield row
                        fence(epoch)
        finally:
            # In the scanning task this is the end of the loop. In another one it is
            # asyncio closing a dropped generator, which must not send on a connection that its holder may be about
            # to use: the checkin closes the scanner.
            if asyncio.current_task() is task:
                await scan.close()


_MUTATIONS = aiohappybase.batch.MutationBatcher


class Batch(aiohappybase.Batch):
    """An aiohappybase.Batch that sends nothing on a lost connection, so that the error of its block is not hidden."""

    _mutations: Any

    if codec is not None:

        def __init__(
            self,
            table: Table,
            timestamp: int | None = None,
            batch_size: int | None = None,
            transaction: bool = False,
            wal: bool = True,
        ) -> None:
            super().__init__(table, timestamp, batch_size, transaction, wal)
            if type(self) is Batch and type(self._mutations) is _MUTATIONS:  # neither is replaced by somebody
                self._mutations = mutations = shortcuts.QueuedMutations(table, timestamp, batch_size, wal)
                self.put = mutations.put
                self.delete = mutations.delete

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None = None, trace: TracebackType | None = None
    ) -> None:
        if kind is None or not self._table.lost:
            await super().__aexit__(kind, error, trace)


class _LeasedClient:
    """The methods of a table's client, fenced again at each call: a batch may keep them beyond the lease."""

    __slots__ = ("_table",)

    def __init__(self, table: Table) -> None:
        self._table = table

    def __getattr__(self, method: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        getattr(self._table.connection.client, method)  # AttributeError and LeaseError at once
        table = self._table

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await getattr(table.connection.client, method)(*args, **kwargs)

        return call


class _Scan(ScanSide, aiohappybase.Table):
    """Stands for table, connection and client in aiohappybase's scan()."""

    async def _open(self, call: Callable[..., Coroutine[Any, Any, int]], *args: Any) -> int:
        self._scanner = await call(*args)
        return self._scanner

    async def scannerClose(self, scanner: int) -> None:
        """Do nothing: :meth:`close` closes the scanner."""

    async def close(self) -> None:
        """Close the scanner on the server, if this scan opened one and its lease lasts."""
        if not self._to_close:
            return
        try:
            await self._table.connection.client.scannerClose(self._scanner)
        except LeaseError:
            # The lease is over, and its scanners are closed; or a call is under way, and the checkin closes them.
            pass


if codec is not None:
    shortcuts.SHORTCUTS.serve(Table, shortcuts.QueuedMutations)
