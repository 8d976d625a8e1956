"""A scan whose rows the codec decodes straight into aiohappybase's form, for arguments that need nothing else."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import aiohappybase
import aiohappybase.table
from aiohappybase._util import bytes_increment

from .._thrift.codec import codec
from .._thrift.scan import Asked, Progress, plain_scan
from .shortcuts import REFUSED, SHORTCUTS, result_of

_SCANS: Any = codec and codec.Originals(
    (aiohappybase.Table, "scan"),
    *((aiohappybase.table, name) for name in ("make_row", "TScan", "bytes_increment")),
)


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
    form = asked.include_timestamp, asked.sorted_columns
    call = SHORTCUTS.prepare_fetch(table, scanner, how_many, *form, used)
    found = await result_of(call)
    if found is REFUSED:
        call = None
        found = await table.client.scannerGetList(scanner, how_many)
    return SHORTCUTS.fetched(table, call, found, *form)
