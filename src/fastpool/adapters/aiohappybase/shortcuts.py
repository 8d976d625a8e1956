"""Methods of tables and batches that go straight over the codec, for the arguments that need nothing else.

For all other arguments, and for a library of which somebody replaced a part, they call aiohappybase's own method.
"""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import aiohappybase
import aiohappybase.batch
import aiohappybase.table

from .._thrift.codec import codec
from .._thrift.queued import Queued

REFUSED: Any = codec and codec.REFUSED
SHORTCUTS: Any = codec and codec.Shortcuts(aiohappybase.table, aiohappybase.batch, True)


async def result_of(call: Any) -> Any:
    """The result of a prepared call; REFUSED if aiohappybase has to make it, also if there is no call."""
    return REFUSED if call is None else await call.client.perform(call)


async def row(
    self: Any, row: bytes, columns: Any = None, timestamp: int | None = None, include_timestamp: bool = False
) -> Any:
    """Retrieve a single row, as aiohappybase does."""
    call = SHORTCUTS.prepare_rows(self, False, row, columns, timestamp, include_timestamp)
    if (found := await result_of(call)) is REFUSED:
        return await aiohappybase.Table.row(self, row, columns, timestamp, include_timestamp)
    return SHORTCUTS.first_of(call, found)


async def rows(
    self: Any, rows: Any, columns: Any = None, timestamp: int | None = None, include_timestamp: bool = False
) -> Any:
    """Retrieve several rows, as aiohappybase does."""
    call = SHORTCUTS.prepare_rows(self, True, rows, columns, timestamp, include_timestamp) if rows else None
    if call is not None and call.lacks_columns:
        call.give_columns(await self.column_family_names())
    if (found := await result_of(call)) is REFUSED:
        return await aiohappybase.Table.rows(self, rows, columns, timestamp, include_timestamp)
    return SHORTCUTS.rows_of(call, found)


async def cells(
    self: Any,
    row: bytes,
    column: bytes,
    versions: int | None = None,
    timestamp: int | None = None,
    include_timestamp: bool = False,
) -> Any:
    """Retrieve versions of a cell, as aiohappybase does."""
    call = SHORTCUTS.prepare_cells(self, row, column, versions, timestamp, include_timestamp)
    if (found := await result_of(call)) is REFUSED:
        return await aiohappybase.Table.cells(self, row, column, versions, timestamp, include_timestamp)
    return SHORTCUTS.cells_of(call, found)


async def counter_inc(self: Any, row: bytes, column: bytes, value: int = 1) -> Any:
    """Increment a counter, as aiohappybase does."""
    if (found := await result_of(SHORTCUTS.prepare_counter(self, row, column, value))) is REFUSED:
        return await aiohappybase.Table.counter_inc(self, row, column, value)
    return found


async def put(self: Any, row: bytes, data: Any, timestamp: int | None = None, wal: bool = True) -> None:
    """Store data in a row, as aiohappybase does."""
    if SHORTCUTS.puts_plainly(self, row, data, timestamp, wal) and codec.goes_as_it_is({row: data}, len(data)):
        await _write(self, {row: data}, len(data), timestamp, wal)
    else:
        await aiohappybase.Table.put(self, row, data, timestamp, wal)


async def _write(table: Any, rows: dict[bytes, dict[bytes, Any]], count: int, timestamp: int | None, wal: bool) -> None:
    """Log as aiohappybase does, and send the rows; aiohappybase's way, but for the log, if the codec cannot."""
    library = aiohappybase.batch
    call = SHORTCUTS.prepare_writes(table, rows, timestamp, wal)
    if library.logger.isEnabledFor(logging.DEBUG):
        library.logger.debug(f"Sending batch for '{table.name}' ({count} mutations on {len(rows)} rows)")
    if await result_of(call) is not REFUSED:
        return
    made = [
        library.BatchMutation(row, [library.MutationProxy(*cell, wal).resolve() for cell in cells.items()])
        for row, cells in rows.items()
    ]
    if timestamp is None:
        await table.client.mutateRows(table.name, made, {})
    else:
        await table.client.mutateRowsTs(table.name, made, timestamp, {})


class QueuedMutations(Queued, aiohappybase.batch.MutationBatcher):
    """The mutations of a batch, kept and sent in another way than aiohappybase's; put() and delete() are its own."""

    def _convert(self, made: dict[bytes, Any], queued: dict[bytes, Any]) -> None:
        for column, value in queued.items():
            made[column] = aiohappybase.batch.MutationProxy(column, value, self._wal)

    def _reset(self) -> None:
        super()._reset()
        self._queued = {}

    async def _add_mutations(self, row: bytes, wal: Any, mutations: Iterable[tuple[bytes, bytes | None]]) -> None:
        if codec.queue_cells(SHORTCUTS, self, row, wal, mutations):
            await self._check_send()
        else:
            await super()._add_mutations(row, wal, mutations)

    async def send(self) -> None:
        """Send them, as aiohappybase does."""
        if codec.goes_as_queued(SHORTCUTS, self):
            await _write(self._table, self._queued or {}, self._mutation_count, self._timestamp, self._wal)
            self._reset()
        else:
            await super().send()
