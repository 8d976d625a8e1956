"""Tables in memory, with HBase's rules for rows, columns, versions, time stamps and families.

A delete takes effect at once and leaves no tombstone. (HBase would hide, until its next major compaction, a put
whose time stamp is not newer than a delete made before it; a test that deletes and puts within one millisecond
would then now and then lose its put.)
"""

from __future__ import annotations

import re
import time
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from ..._core import Section
from ..atomic import atomic
from .regions import RegionMap

LATEST = 2**63 - 1
"""As a time stamp of a put: now. As the upper end of a read: no end. All time stamps are ms since the epoch."""

FOREVER = 2**31 - 1
COMPRESSIONS = ("NONE", "GZ", "LZO", "LZ4", "SNAPPY", "BZIP2", "ZSTD", "LZMA", "BROTLI")
BLOOM_FILTERS = ("NONE", "ROW", "ROWCOL", "ROWPREFIX_FIXED_LENGTH")

Column = tuple[bytes, bytes | None]
"""A family and a qualifier; None instead of a qualifier means the whole family."""

Versions = list[tuple[int, bytes]]
"""The versions of one column: (time stamp, value), newest first."""

_TABLE_NAME = re.compile(rb"(?:[\w][\w.-]*:)?[\w][\w.-]*", re.ASCII)


class HBaseError(Exception):
    """Stands for an IOException of HBase; the Thrift server passes it on as ``IOError``."""

    def __init__(self, java_class: str, message: str) -> None:
        super().__init__(f"{java_class}: {message}")


class Cell(NamedTuple):
    """One version of one column of one row."""

    family: bytes
    qualifier: bytes
    timestamp: int
    value: bytes


@dataclass(frozen=True)
class Family:
    """A column family and its settings; ``time_to_live`` in seconds."""

    name: bytes
    max_versions: int = 3
    compression: str = "NONE"
    in_memory: bool = False
    bloom_filter: str = "NONE"
    block_cache: bool = False
    time_to_live: int = FOREVER

    def __post_init__(self) -> None:
        name = self.name
        if not name or name.startswith(b".") or any(c < 32 or c == 127 or c in b":/\\" for c in name):
            raise ValueError(f"Illegal character in a family name, or none at all: {name!r}")
        if self.max_versions < 1:
            raise ValueError(f"Maximum versions must be positive: {self.max_versions}")
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"Unsupported compression algorithm name: {self.compression}")
        if self.bloom_filter not in BLOOM_FILTERS:
            raise ValueError(f"No enum constant BloomType.{self.bloom_filter}")


def parse_column(column: bytes) -> Column:
    """Split ``family:qualifier``; without a colon it is a whole family, with nothing after it the empty qualifier."""
    family, colon, qualifier = column.partition(b":")
    return family, qualifier if colon else None


def check_name(table: bytes) -> None:
    """Raise ValueError if this cannot be the name of a table."""
    if not _TABLE_NAME.fullmatch(table):
        raise ValueError(f"Illegal table name: {table!r}")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Table:
    """One table: its families, and its rows in order. Every method is atomic."""

    def __init__(self, name: bytes, families: Iterable[Family], region_id: int) -> None:
        self.name = name
        self.families = {family.name: family for family in families}
        self._mortal = any(family.time_to_live != FOREVER for family in self.families.values())
        self.regions = RegionMap(name, region_id)
        self.enabled = True
        self.dropped = False
        self.section = Section()
        self.keys: list[bytes] = []
        self._rows: dict[bytes, dict[bytes, dict[bytes, Versions]]] = {}

    @atomic
    def drop(self) -> None:
        """Make the table unusable; HBaseError if it is enabled."""
        if self.enabled:
            raise HBaseError("org.apache.hadoop.hbase.TableNotDisabledException", _text(self.name))
        self.dropped = True

    @atomic
    def enable(self, enabled: bool) -> None:
        """Enable or disable it; HBaseError if it already is."""
        if self.enabled == enabled:
            state = "TableNotDisabledException" if enabled else "TableNotEnabledException"
            raise HBaseError(f"org.apache.hadoop.hbase.{state}", _text(self.name))
        self.enabled = enabled

    def require_enabled(self) -> None:
        """Raise HBaseError if the table is disabled or was deleted."""
        if self.dropped:
            raise HBaseError("org.apache.hadoop.hbase.TableNotFoundException", _text(self.name))
        if not self.enabled:
            raise HBaseError("org.apache.hadoop.hbase.TableNotEnabledException", f"{_text(self.name)} is disabled.")

    def require_families(self, families: Iterable[bytes]) -> None:
        """Raise HBaseError if one of ``families`` is not the table's."""
        for family in families:
            if family not in self.families:
                raise HBaseError(
                    "org.apache.hadoop.hbase.regionserver.NoSuchColumnFamilyException",
                    f"Column family {_text(family)} does not exist in region {_text(self.regions.all[0].name)} "
                    f"in table '{_text(self.name)}'",
                )

    # Reading

    @atomic
    def get(
        self, row: bytes, columns: Sequence[Column] | None = None, before: int = LATEST, versions: int = 1
    ) -> list[Cell]:
        """Return the newest ``versions`` of each column that are older than ``before``, in HBase's order."""
        self.require_enabled()
        if columns:
            self.require_families(family for family, _ in columns)
        if versions == 1 and before == LATEST and not self._mortal:  # nearly every read, so it is fast
            return [Cell(family, name, *cells[0]) for family, name, cells in self._columns(row, columns)]
        found: list[Cell] = []
        for family, name, cells in self._columns(row, columns):
            seen = self._visible(family, cells, before)
            found += [Cell(family, name, *one) for one in islice(seen, versions)]
        return found

    def _columns(self, row: bytes, columns: Sequence[Column] | None) -> list[tuple[bytes, bytes, Versions]]:
        families = self._rows.get(row)
        if families is None:
            return []
        if not columns:
            return [
                (family, qualifier, families[family][qualifier])
                for family in sorted(families)
                for qualifier in sorted(families[family])
            ]
        wanted: dict[bytes, set[bytes] | None] = {}
        for family, name in columns:
            if name is None:
                wanted[family] = None
            else:
                among = wanted.setdefault(family, set())
                if among is not None:
                    among.add(name)
        found: list[tuple[bytes, bytes, Versions]] = []
        for family in sorted(wanted):
            qualifiers = families.get(family, {})
            among = wanted[family]
            names = sorted(qualifiers if among is None else qualifiers.keys() & among)
            found += [(family, qualifier, qualifiers[qualifier]) for qualifier in names]
        return found

    def _visible(self, family: bytes, cells: Versions, before: int) -> Iterator[tuple[int, bytes]]:
        lifetime = self.families[family].time_to_live
        oldest = now_ms() - lifetime * 1000 if lifetime != FOREVER else -1
        return (cell for cell in cells if cell[0] > oldest and (before == LATEST or cell[0] < before))

    # Writing

    @atomic
    def put(self, row: bytes, cells: Iterable[tuple[bytes, bytes, bytes]], timestamp: int = LATEST) -> None:
        """Store (family, qualifier, value) cells in ``row``."""
        self.require_enabled()
        cells = list(cells)
        self.require_families(family for family, _, _ in cells)
        stamp = now_ms() if timestamp == LATEST else timestamp
        for family, qualifier, value in cells:
            self._store(row, family, qualifier, stamp, value)

    def _store(self, row: bytes, family: bytes, qualifier: bytes, stamp: int, value: bytes) -> None:
        families = self._rows.get(row)
        if families is None:
            families = self._rows[row] = {}
            insort(self.keys, row)
        cells = families.setdefault(family, {}).setdefault(qualifier, [])
        newest = not cells or stamp > cells[0][0]
        place = 0 if newest else bisect_left(cells, -stamp, key=lambda cell: -cell[0])
        if place < len(cells) and cells[place][0] == stamp:
            cells[place] = (stamp, value)
        else:
            cells.insert(place, (stamp, value))
            del cells[self.families[family].max_versions :]

    @atomic
    def delete(self, row: bytes, columns: Iterable[Column] | None, upto: int = LATEST) -> None:
        """Remove the versions of ``columns`` (None: of the whole row) that are not newer than ``upto``."""
        self.require_enabled()
        chosen = None if columns is None else list(columns)
        self.require_families(family for family, _ in chosen or ())
        stamp = now_ms() if upto == LATEST else upto
        for family, qualifier, cells in self._columns(row, chosen) if chosen != [] else ():
            cells[:] = [cell for cell in cells if cell[0] > stamp]
            self._drop_if_empty(row, family, qualifier)

    def _drop_if_empty(self, row: bytes, family: bytes, qualifier: bytes) -> None:
        families = self._rows[row]
        if not families[family][qualifier]:
            del families[family][qualifier]
        if not families[family]:
            del families[family]
        if not families:
            del self._rows[row]
            del self.keys[bisect_left(self.keys, row)]

    @atomic
    def increment(self, row: bytes, family: bytes, qualifier: bytes, amount: int) -> int:
        """Add ``amount`` to a counter (8 bytes, big-endian, wrapping as Java's long does); return the new value."""
        cells = self.get(row, [(family, qualifier)])
        old = cells[0].value if cells else bytes(8)
        if len(old) != 8:
            raise HBaseError(
                "org.apache.hadoop.hbase.DoNotRetryIOException",
                f"Field is not a long, it's {len(old)} bytes wide",
            )
        total = (int.from_bytes(old, "big", signed=True) + amount + 2**63) % 2**64 - 2**63
        stamp = max([now_ms(), *(cell.timestamp for cell in cells)])
        self._store(row, family, qualifier, stamp, total.to_bytes(8, "big", signed=True))
        return total

    @atomic
    def append(self, row: bytes, cells: Iterable[tuple[bytes, bytes, bytes]]) -> list[Cell]:
        """Append to the newest values of (family, qualifier, suffix) columns; return the new cells, in order."""
        fresh: list[Cell] = []
        for family, qualifier, suffix in cells:
            old = self.get(row, [(family, qualifier)])
            stamp = max([now_ms(), *(cell.timestamp for cell in old)])
            value = (old[0].value if old else b"") + suffix
            self._store(row, family, qualifier, stamp, value)
            fresh.append(Cell(family, qualifier, stamp, value))
        return sorted(fresh)

    @atomic
    def check_and_put(
        self, row: bytes, check: tuple[bytes, bytes], value: bytes | None, put: tuple[bytes, bytes, bytes]
    ) -> bool:
        """Store ``put`` if the column ``check`` holds ``value`` (None: if it does not exist); return whether it did."""
        self.require_families([put[0]])
        cells = self.get(row, [check])
        if (cells[0].value if cells else None) != value:
            return False
        self.put(row, [put])
        return True

    @atomic
    def row_at_or_before(self, row: bytes, family: bytes) -> list[Cell]:
        """Return the cells of ``family`` in ``row``, or in the nearest row before it that has any."""
        for key in reversed(self.keys[: bisect_left(self.keys, row + b"\0")]):
            cells = self.get(key, [(family, None)])
            if cells:
                return cells
        self.get(row, [(family, None)])
        return []

    @atomic
    def compact(self, major: bool) -> None:
        """Remove cells older than their family's time to live, if ``major``; as in HBase, of a disabled table, too."""
        for row in list(self.keys) if major else ():
            for family, qualifier, cells in self._columns(row, None):
                cells[:] = list(self._visible(family, cells, LATEST))
                self._drop_if_empty(row, family, qualifier)


class Store:
    """All tables of one server."""

    def __init__(self) -> None:
        self._tables: dict[bytes, Table] = {}

    def names(self) -> list[bytes]:
        """Return the names of all tables, sorted."""
        return sorted(self._tables)

    def tables(self) -> list[Table]:
        """Return all tables, sorted by name."""
        return [table for _, table in sorted(self._tables.copy().items())]

    def table(self, name: bytes) -> Table:
        """Return the table called ``name``; HBaseError if there is none, ValueError if there cannot be one."""
        table = self._tables.get(name)
        if table is None:
            check_name(name)
            raise HBaseError("org.apache.hadoop.hbase.TableNotFoundException", _text(name))
        return table

    def create(self, name: bytes, families: Sequence[Family]) -> bool:
        """Create a table; False if the name is taken. ValueError for a bad name, HBaseError without families."""
        check_name(name)
        if name in self._tables:
            return False
        if not families:
            raise HBaseError(
                "org.apache.hadoop.hbase.DoNotRetryIOException", "Table should have at least one column family."
            )
        made = Table(name, families, now_ms())
        return self._tables.setdefault(name, made) is made

    def delete(self, name: bytes) -> None:
        """Delete a disabled table; HBaseError if it is enabled or unknown."""
        self.table(name).drop()
        self._tables.pop(name, None)

    def enable(self, name: bytes, enabled: bool) -> None:
        """Enable or disable a table; HBaseError if it already is."""
        self.table(name).enable(enabled)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
