"""A scan whose rows the codec decodes straight into happybase's form, for the arguments that need nothing else."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import happybase.table
from happybase.util import bytes_increment

from .._thrift.codec import codec
from .._thrift.scan import Asked, Progress, plain_scan

Rows = Iterator[tuple[bytes, dict[bytes, Any]]]

_ORIGINALS: Any = codec and codec.Originals(
    (happybase.Table, "scan"),
    *((happybase.table, name) for name in ("make_row", "make_ordered_row", "TScan", "bytes_increment")),
)


def compiled_scan(side: Any, table: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Rows] | None:
    """The batches of a scan on ``table``, whose scanner ``side`` opens; None if happybase has to do it.

    That is so for arguments that happybase refuses or translates, and when somebody replaced a part of its scan().
    """
    if _ORIGINALS is None or not _ORIGINALS.are_intact():
        return None
    asked = plain_scan(args, kwargs, table.connection.compat, bytes_increment)
    return None if asked is None else _batches(side, table, asked)


def _batches(side: Any, table: Any, asked: Asked) -> Iterator[Rows]:
    scanner = side.scannerOpenWithScan(table.name, asked.request(happybase.table.TScan, ""), {})
    logger = happybase.table.logger
    logger.debug("Opened scanner (id=%d) on '%s'", scanner, table.name)
    progress = Progress(asked, codec.rows_made([]))
    form = bool(asked.include_timestamp), bool(asked.sorted_columns)
    try:
        while (n := progress.wanted) and progress.take(codec.fetch_rows(table, scanner, n, *form, progress.rows)):
            yield progress.rows
    finally:
        returned, fetched = progress.counts
        logger.debug("Closed scanner (id=%d) on '%s' (%d returned, %d fetched)", scanner, table.name, returned, fetched)
