"""An open scan over a table."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..._core import Section
from .filters import Filter
from .store import LATEST, Cell, Column, Table


@dataclass(frozen=True)
class Range:
    """From ``start``, included, to ``stop``, excluded; backwards if ``reverse``. Empty: from or to the end."""

    start: bytes = b""
    stop: bytes = b""
    reverse: bool = False


class Scanner:
    """Gives the rows of a range as they are at the time they are fetched, each row consistent in itself.

    The table is looked up at the first fetch: as with HBase, that fetch fails if there is no such table.
    """

    def __init__(
        self,
        find: Callable[[], Table],
        rows: Range,
        columns: Sequence[Column] = (),
        before: int = LATEST,
        row_filter: Filter | None = None,
        batch: int | None = None,
        sort_columns: bool = False,
    ) -> None:
        self.sort_columns = sort_columns
        self._find = find
        self._table: Table | None = None
        self._rows = rows
        self._columns = columns
        self._before = before
        self._filter = row_filter
        self._batch = batch
        self._last: bytes | None = None
        self._ended = False
        self._pieces: deque[tuple[bytes, list[Cell]]] = deque()
        self._section = Section()
        if row_filter is not None:
            row_filter.start(rows.reverse)

    def next(self, count: int) -> list[tuple[bytes, list[Cell]]]:
        """Return up to ``count`` rows (pieces of rows, if a batch size was given); none at the end."""
        return self._section.run(self._next, count)

    def _next(self, count: int) -> list[tuple[bytes, list[Cell]]]:
        table = self._table = self._table or self._find()
        return table.section.run(self._next_of, table, count)

    def _next_of(self, table: Table, count: int) -> list[tuple[bytes, list[Cell]]]:
        found: list[tuple[bytes, list[Cell]]] = []
        table.require_enabled()
        table.require_families(family for family, _ in self._columns)
        while len(found) < count and (self._pieces or self._fetch(table)):
            found.append(self._pieces.popleft())
        return found

    def _fetch(self, table: Table) -> bool:
        """Queue the next row that passes the filter; False at the end."""
        while not self._ended:
            row = None if self._filter is not None and self._filter.finished() else self._advance(table.keys)
            if row is None:
                self._ended = True
                return False
            cells = self._filtered(row, table.get(row, self._columns, self._before))
            if cells:
                size = self._batch or len(cells)
                self._pieces += [(row, cells[at : at + size]) for at in range(0, len(cells), size)]
                return True
        return False

    def _filtered(self, row: bytes, cells: list[Cell]) -> list[Cell]:
        if self._filter is None or not cells:
            return cells
        cells = [cell for cell, kept in zip(cells, self._filter.keep(row, cells), strict=True) if kept]
        if not cells or self._filter.drops_row():
            return []
        return self._filter.transform(cells)

    def _advance(self, keys: list[bytes]) -> bytes | None:
        rows = self._rows
        if rows.reverse:
            edge = rows.start if self._last is None else self._last
            cut = bisect_right if self._last is None else bisect_left
            place = (cut(keys, edge) if edge else len(keys)) - 1
        else:
            place = bisect_left(keys, rows.start) if self._last is None else bisect_right(keys, self._last)
        if not 0 <= place < len(keys):
            return None
        self._last = key = keys[place]
        if rows.start and rows.start == rows.stop:  # HBase treats such a range as a get of that one row
            return key if key == rows.start else None
        if rows.stop and (key <= rows.stop if rows.reverse else key >= rows.stop):
            return None
        return key
