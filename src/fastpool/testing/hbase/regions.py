"""The regions of one table: which rows each has, and which region server it is on.

Nothing is stored by region: they are what HBase tells of where rows are, to be split and moved by a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from ..._core import Cell

Address = tuple[str, int]


class Region(NamedTuple):
    """Rows from ``start`` up to, not including, ``end``; b"" for no limit. ``server``: None for the gateway's own."""

    table: bytes
    start: bytes
    end: bytes
    id: int
    server: Address | None

    @property
    def name(self) -> bytes:
        """Its name, as HBase would write it."""
        head = b"%s,%s,%d" % (self.table, self.start, self.id)
        return b"%s.%s." % (head, hashlib.md5(head, usedforsecurity=False).hexdigest().encode())

    def has(self, row: bytes) -> bool:
        """Whether it has the row."""
        return self.start <= row and (not self.end or row < self.end)


Regions = tuple[Region, ...]


class RegionMap:
    """The regions of a table, ascending: one at first. Replaced as a whole, so that no lock is needed."""

    def __init__(self, table: bytes, number: int) -> None:
        self._regions: Cell[Regions] = Cell((Region(table, b"", b"", number, None),))

    @property
    def all(self) -> Regions:
        """The regions of now."""
        return self._regions.value

    def split(self, key: bytes) -> None:
        """Divide the region that has ``key`` there; ValueError if it begins there already."""

        def divided(regions: Regions) -> Regions:
            parent = next(region for region in regions if region.has(key))
            if parent.start == key:
                raise ValueError(f"'key' must be inside a region, and one begins at {key!r} already")
            number = max(region.id for region in regions) + 1
            first = parent._replace(end=key, id=number)
            second = parent._replace(start=key, id=number)
            at = regions.index(parent)
            return (*regions[:at], first, second, *regions[at + 1 :])

        self._change(divided)

    def move(self, row: bytes, server: Address | None) -> None:
        """Move the region that has ``row`` to another region server."""

        def moved(regions: Regions) -> Regions:
            return tuple(region._replace(server=server) if region.has(row) else region for region in regions)

        self._change(moved)

    def _change(self, change: Callable[[Regions], Regions]) -> None:
        while not self._regions.replace(old := self._regions.value, change(old)):
            pass
