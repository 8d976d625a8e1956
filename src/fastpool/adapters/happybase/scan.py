"""A scan whose rows the codec decodes straight into happybase's form, for the arguments that need nothing else."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import happybase.table
from happybase.util import bytes_increment

from .._thrift.codec import codec
from .._thrift.scan import Asked, plain_scan

if TYPE_CHECKING:
    from .table import Table

_ORIGINALS: Any = codec and codec.Originals(
    (happybase.Table, "scan"),
    *((happybase.table, name) for name in ("make_row", "make_ordered_row", "TScan", "bytes_increment")),
)


def compiled_scan(
    side: Any, table: Table, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[bytes, dict[bytes, Any]]] | None:
    """The rows of a scan on ``table``, whose scanner ``side`` opens; None if happybase has to do it.

    That is so for arguments that happybase refuses or translates, and when somebody replaced a part of its scan().
    """
    if _ORIGINALS is None or not _ORIGINALS.are_intact():
        return None
    asked = plain_scan(args, kwargs, table.connection.compat, bytes_increment)
    return None if asked is None else _rows(side, table, asked)


def _rows(side: Any, table: Table, asked: Asked) -> Iterator[tuple[bytes, dict[bytes, Any]]]:
    scanner = side.scannerOpenWithScan(table.name, asked.request(happybase.table.TScan, ""), {})
    logger = happybase.table.logger
    logger.debug("Opened scanner (id=%d) on '%s'", scanner, table.name)
    returned = fetched = 0
    with_timestamps, in_order = bool(asked.include_timestamp), bool(asked.sorted_columns)
    try:
        while rows := codec.fetch_rows(table, scanner, asked.how_many(returned), with_timestamps, in_order):
            fetched += len(rows)
            for returned, row in enumerate(rows, returned + 1):
                yield row
                if returned == asked.limit:
                    return
    finally:
        logger.debug("Closed scanner (id=%d) on '%s' (%d returned, %d fetched)", scanner, table.name, returned, fetched)
