"""The parameters of a scan, and whether the codec can do it: the part that threads and tasks share."""

from __future__ import annotations

from typing import Any, NamedTuple


class Asked(NamedTuple):
    """The parameters of the libraries' scan()."""

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

    def request(self, scan_class: Any, first_row: str | bytes) -> Any:
        """Make the TScan to send, which starts at ``first_row`` if no start was given."""
        return scan_class(
            startRow=first_row if self.row_start is None else self.row_start,
            stopRow=self.row_stop,
            timestamp=self.timestamp,
            columns=self.columns,
            caching=self.batch_size,
            filterString=self.filter,
            batchSize=self.scan_batching,
            sortColumns=self.sorted_columns,
            reversed=self.reverse,
        )


class Progress:
    """How far a scan has come. The rows that it is given are the codec's, which make each row when it is asked for."""

    def __init__(self, asked: Asked, rows: Any) -> None:
        self.asked = asked
        self.rows = rows  # the last batch, what is left of it; at first an empty one
        self._given = self._fetched = 0

    @property
    def wanted(self) -> int:
        """How many rows to fetch next; 0: the limit is reached."""
        batch_size: int = self.asked.batch_size
        return batch_size if self.asked.limit is None else min(batch_size, self.asked.limit - self._given)

    def take(self, rows: Any) -> bool:
        """Note a batch, cut to the limit, which is to be given out as ``rows``; False: the scan is at its end."""
        self.rows = rows
        found: int = rows.__length_hint__()
        self._fetched += found
        if self.asked.limit is not None:
            rows.keep(self.asked.limit - self._given)
        self._given += rows.__length_hint__()
        return found > 0

    @property
    def counts(self) -> tuple[int, int]:
        """How many rows were returned, without what is left of the last batch, and how many were fetched."""
        return self._given - self.rows.__length_hint__(), self._fetched


def plain_scan(args: tuple[Any, ...], kwargs: dict[str, Any], compat: str, bytes_increment: Any) -> Asked | None:
    """The parameters, a prefix replaced by its edges; None if the library refuses or translates any of them."""
    if compat < "0.98":
        return None
    try:
        asked = Asked(*args, **kwargs)
    except TypeError:
        return None
    if type(asked.batch_size) is not int or asked.batch_size < 1:
        return None
    for number in (asked.limit, asked.scan_batching):
        if number is not None and (type(number) is not int or number < 1):
            return None
    prefix = asked.row_prefix
    if prefix is None:
        return asked
    if asked.row_start is not None or asked.row_stop is not None or type(prefix) is not bytes:
        return None
    start, stop = prefix, bytes_increment(prefix)
    if asked.reverse:
        start, stop = stop, start
    return asked._replace(row_start=start, row_stop=stop, row_prefix=None)
