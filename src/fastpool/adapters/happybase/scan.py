"""A scan whose rows the codec decodes straight into happybase's form, for the arguments that need nothing else."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import happybase.table
from happybase.util import bytes_increment

from .._thrift.codec import codec

if TYPE_CHECKING:
    from .table import Table

Row = tuple[bytes, dict[bytes, Any]]


class Asked(NamedTuple):
    """What a scan was asked for: the parameters of happybase's scan()."""

    row_start: Any = None
    row_stop: Any = None
    row_prefix: Any = None
    columns: Any = None
    filter: Any = None
    timestamp: Any = None
    include_timestamp: Any = False
    batch_size: Any = 1000
    scan_batching: Any = None
    limit: Any = None
    sorted_columns: Any = False
    reverse: Any = False


_ORIGINALS: Any = codec and codec.Originals(
    (happybase.Table, "scan"),
    (happybase.table, "make_row"),
    (happybase.table, "make_ordered_row"),
    (happybase.table, "TScan"),
    (happybase.table, "bytes_increment"),
)


def plain_scan(side: Any, table: Table, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Row] | None:
    """The rows of a scan on ``table``, whose scanner ``side`` opens; None if happybase has to do it.

    That is so for arguments that happybase refuses or translates, and when somebody replaced a part of its scan().
    """
    if _ORIGINALS is None or not _ORIGINALS.are_intact() or table.connection.compat < "0.98":
        return None
    try:
        asked = Asked(*args, **kwargs)
    except TypeError:
        return None
    for number, least in ((asked.batch_size, None), (asked.limit, 1), (asked.scan_batching, 1)):
        if type(number) is int:
            if number < 1:
                return None
        elif number is not None or least is None:
            return None
    if asked.row_prefix is not None:
        if asked.row_start is not None or asked.row_stop is not None or type(asked.row_prefix) is not bytes:
            return None
        edges = asked.row_prefix, bytes_increment(asked.row_prefix)
        asked = asked._replace(**dict(zip(("row_start", "row_stop"), edges[:: -1 if asked.reverse else 1], strict=True)))
    return _rows(side, table, asked)


def _rows(side: Any, table: Table, asked: Asked) -> Iterator[Row]:
    batch_size, limit = asked.batch_size, asked.limit
    scan = happybase.table.TScan(
        startRow="" if asked.row_start is None else asked.row_start,
        stopRow=asked.row_stop,
        timestamp=asked.timestamp,
        columns=asked.columns,
        caching=batch_size,
        filterString=asked.filter,
        batchSize=asked.scan_batching,
        sortColumns=asked.sorted_columns,
        reversed=asked.reverse,
    )
    scanner = side.scannerOpenWithScan(table.name, scan, {})
    logger = happybase.table.logger
    logger.debug("Opened scanner (id=%d) on '%s'", scanner, table.name)
    returned = fetched = 0
    with_timestamps, in_order = bool(asked.include_timestamp), bool(asked.sorted_columns)
    try:
        while True:
            how_many = batch_size if limit is None else min(batch_size, limit - returned)
            rows = codec.fetch_rows(table, scanner, how_many, with_timestamps, in_order)
            if not rows:
                return
            fetched += len(rows)
            for returned, row in enumerate(rows, returned + 1):
                yield row
                if returned == limit:
                    return
    finally:
        logger.debug("Closed scanner (id=%d) on '%s' (%d returned, %d fetched)", scanner, table.name, returned, fetched)
