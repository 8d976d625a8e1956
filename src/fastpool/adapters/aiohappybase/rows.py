"""Reads that the codec decodes straight into aiohappybase's form, for the arguments that need nothing else."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import aiohappybase
import aiohappybase.table
from aiohappybase._util import bytes_increment

from .._thrift.codec import codec
from .._thrift.scan import Asked, Progress, plain_scan

REFUSED: Any = codec and codec.REFUSED

_ROWS: Any = codec and codec.Originals(
    (aiohappybase.Table, "row"), (aiohappybase.Table, "rows"), (aiohappybase.table, "make_row")
)
_SCANS: Any = codec and codec.Originals(
    (aiohappybase.Table, "scan"),
    *((aiohappybase.table, name) for name in ("make_row", "TScan", "bytes_increment")),
)


async def _fetch(table: Any, name: str, args: tuple[Any, ...], include_timestamp: Any, used: Any = None) -> Any:
    """The rows that a call gives, as aiohappybase has them; REFUSED if it has to make the call.

    ``used``: the rows of the scan's call before, whose successors are made one by one, too.
    """
    found = codec.shortcut(table, name)
    if found is None:
        return REFUSED
    channel, operation = found
    how = codec.IN_ANY_ORDER | (codec.WITH_TIMESTAMPS if include_timestamp else 0)
    how |= 0 if used is None else codec.ONE_BY_ONE
    rows = await table._leased.client.call_compiled(operation, args, how, used)
    if rows is not REFUSED and channel.has_structs:
        return [(row.row, aiohappybase.table.make_row(row, include_timestamp)) for row in rows]
    return rows


async def compiled_rows(table: Any, many: bool, row: Any, columns: Any, timestamp: Any, include_timestamp: Any) -> Any:
    """One row or several, each with its key; REFUSED if aiohappybase has to fetch them."""
    if (
        _ROWS is None
        or not (columns is None or type(columns) in (list, tuple))
        or not (timestamp is None or type(timestamp) is int)
        or not _ROWS.are_intact()
    ):
        return REFUSED
    name = "getRowsWithColumns" if many else "getRowWithColumns"
    if timestamp is None:
        return await _fetch(table, name, (table.name, row, columns, {}), include_timestamp)
    if many and columns is None:
        columns = await table.column_family_names()  # HBase applies the timestamp only if there are columns
    return await _fetch(table, name + "Ts", (table.name, row, columns, timestamp, {}), include_timestamp)


def compiled_scan(
    side: Any, table: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Iterator[tuple[bytes, dict[bytes, Any]]], None] | None:
    """The batches of a scan on ``table``, whose scanner ``side`` opens; None if aiohappybase has to do it.

    That is so for arguments that aiohappybase refuses or translates, and when somebody replaced a part of its scan().
    """
    if _SCANS is None or not _SCANS.are_intact():
        return None
    asked = plain_scan(args, kwargs, table.connection.compat, bytes_increment)
    return None if asked is None else _batches(side, table, asked)


async def _batches(
    side: Any, table: Any, asked: Asked
) -> AsyncGenerator[Iterator[tuple[bytes, dict[bytes, Any]]], None]:
    scanner = await side.scannerOpenWithScan(table.name, asked.request(aiohappybase.table.TScan, b""), {})
    name: object = table.name
    logger = aiohappybase.table.logger
    logger.debug(f"Opened scanner (id={scanner}) on '{name}'")
    progress = Progress(asked, codec.rows_made([]))
    try:
        while (n := progress.wanted) and progress.take(await _scanned(table, scanner, n, asked, progress.rows)):
            yield progress.rows
    finally:
        returned, fetched = progress.counts
        logger.debug(f"Closed scanner (id={scanner}) on '{name}' ({returned} returned, {fetched} fetched)")


async def _scanned(table: Any, scanner: int, how_many: int, asked: Asked, used: Any) -> Any:
    """The next rows, in an iterator."""
    include_timestamp = asked.include_timestamp
    rows = await _fetch(table, "scannerGetList", (scanner, how_many), include_timestamp, used)
    if rows is REFUSED:
        found = await table.client.scannerGetList(scanner, how_many)
        rows = [(row.row, aiohappybase.table.make_row(row, include_timestamp)) for row in found]
    return codec.rows_made(rows) if type(rows) is list else rows
