"""HBase's scan filters, over whole rows.

A filter sees every selected cell of a row at once (one version each, in order) and says which of them it keeps, then
whether the row as a whole is to go. HBase decides cell by cell; the outcome is the same, except that here a filter
in an AND always sees the cells that its neighbours reject.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence

from .store import Cell

COMPARE: dict[bytes, Callable[[bytes, bytes], bool]] = {
    b"<": operator.lt,
    b"<=": operator.le,
    b"=": operator.eq,
    b"!=": operator.ne,
    b">=": operator.ge,
    b">": operator.gt,
}


class Comparator:
    """A comparison of a piece of a cell with a constant, such as ``=, 'binary:abc'``."""

    def __init__(self, symbol: bytes, comparator: bytes) -> None:
        kind, colon, value = comparator.partition(b":")
        if symbol not in COMPARE:
            raise ValueError(f"Invalid compare operator {symbol!r}; one of {b' '.join(COMPARE)!r} is expected")
        if not colon:
            raise ValueError(f"Incorrect comparator {comparator!r}; type:value is expected")
        self._compare = COMPARE[symbol]
        self._value = value
        self._match: Callable[[bytes], bool] | None = None
        self._prefix = kind == b"binaryprefix"
        if kind == b"substring":
            needle = value.lower()
            self._match = lambda data: needle in data.lower()
        elif kind in (b"regexstring", b"regexstringnocase"):
            search = re.compile(value, re.DOTALL | (re.IGNORECASE if kind.endswith(b"nocase") else 0)).search
            self._match = lambda data: search(data) is not None
        elif kind not in (b"binary", b"binaryprefix"):
            raise ValueError(f"Incorrect comparator {kind!r}; one of binary, binaryprefix, regexstring, substring")
        self._wanted = symbol == b"="
        if self._match is not None and symbol not in (b"=", b"!="):
            raise ValueError("A regexstring or substring comparator can only be used with EQUAL and NOT_EQUAL")

    def __call__(self, data: bytes) -> bool:
        """Whether ``data`` compares as asked."""
        if self._match is not None:
            return self._match(data) == self._wanted
        return self._compare(data[: len(self._value)] if self._prefix else data, self._value)


class Filter:
    """Keeps everything. A scan calls, for each row in turn: finished, keep, drops_row, transform."""

    reverse = False
    """Whether the scan runs backwards; set before the first row."""

    def finished(self) -> bool:
        """Whether no later row can pass: the scan ends."""
        return False

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        """For each of the row's cells, whether it stays."""
        return [True] * len(cells)

    def drops_row(self) -> bool:
        """Whether the row last given to :meth:`keep` is out as a whole; asked once, and only if cells are left."""
        return False

    def transform(self, cells: list[Cell]) -> list[Cell]:
        """Rewrite the cells that stayed."""
        return cells

    def start(self, reverse: bool) -> None:
        """Note the direction of the scan."""
        self.reverse = reverse


class RowFilter(Filter):
    """Decides by the row key."""

    def __init__(self, matches: Callable[[bytes], bool]) -> None:
        self._matches = matches
        self._out = False

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        self._out = not self._matches(row)
        return [not self._out] * len(cells)

    def drops_row(self) -> bool:
        return self._out


class PrefixFilter(RowFilter):
    """Rows that start with a prefix."""

    def __init__(self, prefix: bytes) -> None:
        super().__init__(lambda row: row.startswith(prefix))
        self._prefix = prefix
        self._passed = False

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        head = row[: len(self._prefix)]
        self._passed = head < self._prefix if self.reverse else head > self._prefix
        return super().keep(row, cells)

    def finished(self) -> bool:
        return self._passed


class InclusiveStopFilter(Filter):
    """Rows up to this one, itself included."""

    def __init__(self, stop: bytes) -> None:
        self._stop = stop
        self._passed = False

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        self._passed = row < self._stop if self.reverse else row > self._stop
        return [not self._passed] * len(cells)

    def drops_row(self) -> bool:
        return self._passed

    def finished(self) -> bool:
        return self._passed


class PageFilter(Filter):
    """The first ``size`` rows."""

    def __init__(self, size: int) -> None:
        self._left = size

    def finished(self) -> bool:
        return self._left <= 0

    def drops_row(self) -> bool:
        self._left -= 1
        return self._left < 0


class CellFilter(Filter):
    """Decides each cell by itself."""

    def __init__(self, matches: Callable[[Cell], bool]) -> None:
        self._matches = matches

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        return [self._matches(cell) for cell in cells]


class PositionFilter(Filter):
    """Cells ``offset`` to ``offset + limit`` of each row."""

    def __init__(self, limit: int, offset: int = 0) -> None:
        self._places = range(offset, offset + limit)

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        return [place in self._places for place in range(len(cells))]


class KeyOnlyFilter(Filter):
    """Drops the values; leaves their lengths as 4 bytes instead if ``lengths``."""

    def __init__(self, lengths: bool = False) -> None:
        self._lengths = lengths

    def transform(self, cells: list[Cell]) -> list[Cell]:
        return [cell._replace(value=len(cell.value).to_bytes(4, "big") if self._lengths else b"") for cell in cells]


class SingleColumnValueFilter(Filter):
    """Rows in which one column compares as asked; ``exclude`` leaves that column itself out."""

    def __init__(
        self, family: bytes, qualifier: bytes, matches: Comparator, if_missing: bool = False, exclude: bool = False
    ) -> None:
        self._column = (family, qualifier)
        self._matches = matches
        self._drop_if_missing = if_missing
        self._exclude = exclude
        self._out = False

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        tested = [cell for cell in cells if (cell.family, cell.qualifier) == self._column]
        self._out = not self._matches(tested[0].value) if tested else self._drop_if_missing
        if self._out:
            return [False] * len(cells)
        return [not self._exclude or cell not in tested for cell in cells]

    def drops_row(self) -> bool:
        return self._out


class DependentColumnFilter(Filter):
    """Cells that bear the time stamp of one column's cell, if that compares as asked."""

    def __init__(self, family: bytes, qualifier: bytes, drop: bool = False, matches: Comparator | None = None) -> None:
        self._column = (family, qualifier)
        self._drop = drop
        self._matches = matches
        self._out = False

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        leading = [cell for cell in cells if (cell.family, cell.qualifier) == self._column]
        if self._matches is not None:
            leading = [cell for cell in leading if self._matches(cell.value)]
        stamps = {cell.timestamp for cell in leading}
        self._out = not stamps
        return [cell.timestamp in stamps and not (self._drop and cell in leading) for cell in cells]

    def drops_row(self) -> bool:
        return self._out


class FilterList(Filter):
    """Several filters: AND keeps what all keep, OR what any keeps."""

    def __init__(self, parts: Sequence[Filter]) -> None:
        self._parts = list(parts)

    def start(self, reverse: bool) -> None:
        for part in self._parts:
            part.start(reverse)

    def transform(self, cells: list[Cell]) -> list[Cell]:
        for part in self._parts:
            cells = part.transform(cells)
        return cells


class And(FilterList):
    """Keeps what all parts keep."""

    def finished(self) -> bool:
        return any(part.finished() for part in self._parts)

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        return [all(votes) for votes in zip(*(part.keep(row, cells) for part in self._parts), strict=True)]

    def drops_row(self) -> bool:
        return any(part.drops_row() for part in self._parts)


class Or(FilterList):
    """Keeps what any part keeps."""

    def finished(self) -> bool:
        return all(part.finished() for part in self._parts)

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        going = [part for part in self._parts if not part.finished()]
        return [any(votes) for votes in zip(*(part.keep(row, cells) for part in going), strict=True)]

    def drops_row(self) -> bool:
        votes = [part.drops_row() for part in self._parts]  # all are asked: a PageFilter counts its rows
        return all(votes)


class Wrapped(Filter):
    """A filter around another one."""

    def __init__(self, inner: Filter) -> None:
        self._inner = inner
        self._rejected = False

    def start(self, reverse: bool) -> None:
        self._inner.start(reverse)

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        kept = self._inner.keep(row, cells)
        self._rejected = not all(kept)
        return kept

    def drops_row(self) -> bool:
        self._rejected = self._inner.drops_row() or self._rejected
        return self._rejected

    def transform(self, cells: list[Cell]) -> list[Cell]:
        return self._inner.transform(cells)

    def finished(self) -> bool:
        return self._inner.finished()


class Skip(Wrapped):
    """SKIP: a row goes whole if the inner filter rejects any of its cells."""

    def keep(self, row: bytes, cells: Sequence[Cell]) -> list[bool]:
        kept = super().keep(row, cells)
        return [False] * len(cells) if self._rejected else kept


class While(Wrapped):
    """WHILE: the scan ends at the first thing that the inner filter rejects."""

    def finished(self) -> bool:
        return self._rejected or super().finished()

    def drops_row(self) -> bool:
        gone = self._inner.drops_row()
        self._rejected = gone or self._rejected
        return gone
