"""The methods of HBase's Thrift 1 interface, over a :class:`~.hbase_store.Store`.

Behaviour and errors follow the gateway of HBase 2: an IOException comes out as ``IOError`` with its Java class in
front; an IllegalArgumentException as ``IllegalArgument`` where the gateway catches it, and else as an application
exception ("Internal error processing …").
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

from .filter_language import parse_filter
from .regions import Region
from .requests import check_read, check_row, check_write, split, whole
from .scan import Range, Scanner
from .store import FOREVER, LATEST, Cell, Family, HBaseError, Store, Table, check_name, parse_column


class Service:
    """One handler for all connections of a server; the methods are called from their threads at the same time."""

    def __init__(self, store: Store, idl: ModuleType, address: Callable[[], tuple[str, int]]) -> None:
        self._store = store
        self._idl: Any = idl
        self._address = address
        self._scanners: dict[int, Scanner] = {}
        self._ids = itertools.count()

    # Tables

    def enableTable(self, table: bytes) -> None:
        self._store.enable(table, True)

    def disableTable(self, table: bytes) -> None:
        self._store.enable(table, False)

    def isTableEnabled(self, table: bytes) -> bool:
        return self._store.table(table).enabled

    def compact(self, table_or_region: bytes) -> None:
        self._table_or_region(table_or_region).compact(major=False)

    def majorCompact(self, table_or_region: bytes) -> None:
        self._table_or_region(table_or_region).compact(major=True)

    def _table_or_region(self, name: bytes) -> Table:
        for table in self._store.tables():
            if any(region.name == name for region in table.regions.all):
                return table
        return self._store.table(name)

    def getTableNames(self) -> list[bytes]:
        return self._store.names()

    def getColumnDescriptors(self, table: bytes) -> dict[bytes, Any]:
        return {
            name + b":": self._idl.ColumnDescriptor(
                name=name + b":",
                maxVersions=family.max_versions,
                compression=family.compression,
                inMemory=family.in_memory,
                bloomFilterType=family.bloom_filter,
                blockCacheEnabled=family.block_cache,
                timeToLive=family.time_to_live,
            )
            for name, family in sorted(self._store.table(table).families.items())
        }

    def getTableRegions(self, table: bytes) -> list[Any]:
        check_name(table)
        if table not in self._store.names():
            return []
        return [self._region_info(region) for region in self._store.table(table).regions.all]

    def getRegionInfo(self, row: bytes) -> Any:
        for table in reversed(self._store.tables()):
            for region in reversed(table.regions.all):
                if region.name <= row:
                    return self._region_info(region)
        raise HBaseError("java.io.IOException", f"Cannot find row in hbase:meta, row={row!r}")

    def _region_info(self, region: Region) -> Any:
        host, port = region.server or self._address()
        return self._idl.TRegionInfo(
            startKey=region.start,
            endKey=region.end,
            id=region.id,
            name=region.name,
            version=1,
            serverName=host.encode(),
            port=port,
        )

    def createTable(self, table: bytes, families: Sequence[Any]) -> None:
        check_name(table)
        try:
            made = [_family(family) for family in families]
        except ValueError as error:
            raise self._idl.IllegalArgument(message=f"java.lang.IllegalArgumentException: {error}") from error
        if not self._store.create(table, made):
            raise self._idl.AlreadyExists(message="table name already in use")

    def deleteTable(self, table: bytes) -> None:
        check_name(table)
        if table not in self._store.names():
            raise HBaseError("java.io.IOException", "table does not exist")
        self._store.delete(table)

    # Cells

    def get(self, table: bytes, row: bytes, column: bytes, attributes: Any) -> list[Any]:
        return self.getVerTs(table, row, column, LATEST, 1, attributes)

    def getVer(self, table: bytes, row: bytes, column: bytes, versions: int, attributes: Any) -> list[Any]:
        return self.getVerTs(table, row, column, LATEST, versions, attributes)

    def getVerTs(
        self, table: bytes, row: bytes, column: bytes, timestamp: int, versions: int, attributes: Any
    ) -> list[Any]:
        if versions < 1:
            raise HBaseError("java.io.IOException", "versions must be positive")
        check_read(timestamp)
        return self._cells(self._store.table(table).get(row, [parse_column(column)], timestamp, versions))

    def getRowOrBefore(self, table: bytes, row: bytes, family: bytes) -> list[Any]:
        return self._cells(self._store.table(table).row_at_or_before(row, parse_column(family)[0]))

    def _cells(self, cells: Iterable[Cell]) -> list[Any]:
        make = self._idl.TCell
        return [make(cell.value, cell.timestamp) for cell in cells]

    # Rows

    def getRow(self, table: bytes, row: bytes, attributes: Any) -> list[Any]:
        return self._rows(table, [row], None, LATEST)

    def getRowWithColumns(self, table: bytes, row: bytes, columns: Any, attributes: Any) -> list[Any]:
        return self._rows(table, [row], columns, LATEST)

    def getRowTs(self, table: bytes, row: bytes, timestamp: int, attributes: Any) -> list[Any]:
        return self._rows(table, [row], None, timestamp)

    def getRowWithColumnsTs(self, table: bytes, row: bytes, columns: Any, timestamp: int, attributes: Any) -> list[Any]:
        return self._rows(table, [row], columns, timestamp)

    def getRows(self, table: bytes, rows: Sequence[bytes], attributes: Any) -> list[Any]:
        return self._rows(table, rows, None, LATEST)

    def getRowsWithColumns(self, table: bytes, rows: Sequence[bytes], columns: Any, attributes: Any) -> list[Any]:
        return self._rows(table, rows, columns, LATEST)

    def getRowsTs(self, table: bytes, rows: Sequence[bytes], timestamp: int, attributes: Any) -> list[Any]:
        return self._rows(table, rows, None, timestamp)

    def getRowsWithColumnsTs(
        self, table: bytes, rows: Sequence[bytes], columns: Any, timestamp: int, attributes: Any
    ) -> list[Any]:
        return self._rows(table, rows, columns, timestamp)

    def _rows(self, name: bytes, rows: Sequence[bytes], columns: Sequence[bytes] | None, timestamp: int) -> list[Any]:
        check_read(timestamp)
        table = self._store.table(name)
        wanted = [parse_column(column) for column in columns] if columns else None
        results = []
        for row in rows:
            cells = table.get(check_row(row), wanted, timestamp)
            if cells:
                results.append(self._result(row, cells))
        return results

    def _result(self, row: bytes, cells: Iterable[Cell], sort: bool = False) -> Any:
        make = self._idl.TCell
        if sort:
            named = [(b"%s:%s" % cell[:2], make(cell.value, cell.timestamp)) for cell in cells]
            return self._idl.TRowResult(row, None, [self._idl.TColumn(name, cell) for name, cell in named])
        return self._idl.TRowResult(row, {b"%s:%s" % (f, q): make(value, stamp) for f, q, stamp, value in cells}, None)

    # Writes

    def mutateRow(self, table: bytes, row: bytes, mutations: Sequence[Any], attributes: Any) -> None:
        self.mutateRowTs(table, row, mutations, LATEST, attributes)

    def mutateRowTs(self, table: bytes, row: bytes, mutations: Sequence[Any], timestamp: int, attributes: Any) -> None:
        check_row(row)
        check_write(timestamp)
        found = self._store.table(table)
        puts, deletes = split(mutations)

        def change() -> None:
            if deletes:
                found.delete(row, deletes, timestamp)
            if puts:
                found.put(row, [(family, name, value) for family, name, value in puts if name is not None], timestamp)

        found.section.run(change)

    def mutateRows(self, table: bytes, batches: Sequence[Any], attributes: Any) -> None:
        self.mutateRowsTs(table, batches, LATEST, attributes)

    def mutateRowsTs(self, table: bytes, batches: Sequence[Any], timestamp: int, attributes: Any) -> None:
        check_write(timestamp)
        work = [(check_row(batch.row), *split(batch.mutations)) for batch in batches]
        all_puts = [(row, [whole(put) for put in puts]) for row, puts, _ in work if puts]
        found = self._store.table(table)

        def change() -> None:  # everything is checked before anything is written
            found.require_enabled()
            for _, puts, deletes in work:
                found.require_families([put[0] for put in puts] + [column[0] for column in deletes])
            for row, cells in all_puts:
                found.put(row, cells, timestamp)
            for row, _, deletes in work:
                if deletes:
                    found.delete(row, deletes, timestamp)

        found.section.run(change)

    def deleteAll(self, table: bytes, row: bytes, column: bytes, attributes: Any) -> None:
        self.deleteAllTs(table, row, column, LATEST, attributes)

    def deleteAllTs(self, table: bytes, row: bytes, column: bytes, timestamp: int, attributes: Any) -> None:
        self._store.table(table).delete(check_row(row), [parse_column(column)], timestamp)

    def deleteAllRow(self, table: bytes, row: bytes, attributes: Any) -> None:
        self.deleteAllRowTs(table, row, LATEST, attributes)

    def deleteAllRowTs(self, table: bytes, row: bytes, timestamp: int, attributes: Any) -> None:
        self._store.table(table).delete(check_row(row), None, timestamp)

    def atomicIncrement(self, table: bytes, row: bytes, column: bytes, amount: int) -> int:
        family, qualifier = parse_column(column)
        return self._store.table(table).increment(check_row(row), family, qualifier or b"", amount)

    def increment(self, increment: Any) -> None:
        self.atomicIncrement(increment.table, increment.row, increment.column, increment.ammount)

    def incrementRows(self, increments: Sequence[Any]) -> None:
        for increment in increments:
            self.increment(increment)

    def append(self, append: Any) -> list[Any]:
        if len(append.columns) != len(append.values):
            raise ValueError("not the same number of columns in family and qualifier as of values")
        cells = [
            whole((*parse_column(column), value)) for column, value in zip(append.columns, append.values, strict=True)
        ]
        return self._cells(self._store.table(append.table).append(check_row(append.row), cells))

    def checkAndPut(
        self, table: bytes, row: bytes, column: bytes, value: bytes | None, put: Any, attributes: Any
    ) -> bool:
        cell = whole((*parse_column(put.column), put.value or b""))
        family, qualifier = parse_column(column)
        return self._store.table(table).check_and_put(check_row(row), (family, qualifier or b""), value, cell)

    # Scans

    def scannerOpenWithScan(self, table: bytes, scan: Any, attributes: Any) -> int:
        rows = Range(scan.startRow or b"", scan.stopRow or b"", bool(scan.reversed))
        before = LATEST if scan.timestamp is None else scan.timestamp
        wanted = None if scan.filterString is None else parse_filter(scan.filterString)
        return self._scan(table, rows, scan.columns, before, wanted, scan.batchSize, bool(scan.sortColumns))

    def scannerOpen(self, table: bytes, start: bytes, columns: Any, attributes: Any) -> int:
        return self._scan(table, Range(start), columns)

    def scannerOpenWithStop(self, table: bytes, start: bytes, stop: bytes, columns: Any, attributes: Any) -> int:
        return self._scan(table, Range(start, stop), columns)

    def scannerOpenWithPrefix(self, table: bytes, prefix: bytes, columns: Any, attributes: Any) -> int:
        quoted = prefix.replace(b"'", b"''")
        return self._scan(table, Range(prefix), columns, row_filter=parse_filter(b"WHILE PrefixFilter('%s')" % quoted))

    def scannerOpenTs(self, table: bytes, start: bytes, columns: Any, timestamp: int, attributes: Any) -> int:
        return self._scan(table, Range(start), columns, timestamp)

    def scannerOpenWithStopTs(
        self, table: bytes, start: bytes, stop: bytes, columns: Any, timestamp: int, attributes: Any
    ) -> int:
        return self._scan(table, Range(start, stop), columns, timestamp)

    def _scan(
        self,
        table: bytes,
        rows: Range,
        columns: Sequence[bytes] | None,
        before: int = LATEST,
        row_filter: Any = None,
        batch: int | None = None,
        sort_columns: bool = False,
    ) -> int:
        check_read(before)
        wanted = [parse_column(column) for column in columns or ()]
        check_name(table)
        scanner = Scanner(lambda: self._store.table(table), rows, wanted, before, row_filter, batch, sort_columns)
        number = next(self._ids)
        self._scanners[number] = scanner
        return number

    def scannerGet(self, scanner: int) -> list[Any]:
        return self.scannerGetList(scanner, 1)

    def scannerGetList(self, scanner: int, count: int) -> list[Any]:
        found = self._scanners.get(scanner)
        if found is None:
            raise self._idl.IllegalArgument(message="scanner ID is invalid")
        return [self._result(row, cells, found.sort_columns) for row, cells in found.next(count)]

    def scannerClose(self, scanner: int) -> None:
        if self._scanners.pop(scanner, None) is None:
            raise self._idl.IllegalArgument(message="scanner ID is invalid")

    @property
    def open_scanners(self) -> int:
        """How many scanners are open."""
        return len(self._scanners)

    def close_scanners(self) -> None:
        """Forget all scanners, as a restarted gateway does."""
        self._scanners.clear()


def _family(asked: Any) -> Family:
    return Family(
        parse_column(asked.name)[0],
        asked.maxVersions,
        asked.compression.upper(),
        asked.inMemory,
        asked.bloomFilterType,
        asked.blockCacheEnabled,
        asked.timeToLive if asked.timeToLive > 0 else FOREVER,
    )
