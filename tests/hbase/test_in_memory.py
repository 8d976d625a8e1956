"""The in-memory HBase of fastpool.testing answers as the real one: equal calls to both have equal outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import happybase
import pytest
from Hbase_thrift import (
    BatchMutation,
    ColumnDescriptor,
    Mutation,
    TAppend,
    TCell,
    TIncrement,
    TRowResult,
    TScan,
)
from thriftpy2.thrift import TException

from fastpool.testing import HBaseServer
from tests.testing.test_filters import CASES, ROWS
from tools.hbase.cluster import Gateway

TABLE = b"fastpool_agrees"
Call = tuple[str, tuple[Any, ...]]


def put(column: bytes, value: bytes | None) -> Mutation:
    return Mutation(column=column, value=value)


def drop(column: bytes) -> Mutation:
    return Mutation(column=column, isDelete=True)


@pytest.fixture(scope="module")
def both(gateway_of: Callable[..., Gateway]) -> Iterator[list[Any]]:
    """Raw clients of the real HBase and of ours, each with an empty table of the same name."""
    gateway = gateway_of()
    with HBaseServer() as server:
        connections = [happybase.Connection(at.host, at.port, timeout=30_000) for at in (gateway, server)]
        for connection in connections:
            families = [ColumnDescriptor(name=name, maxVersions=3) for name in (b"f:", b"g:")]
            connection.client.createTable(TABLE, families)
        yield [connection.client for connection in connections]
        for connection in connections:
            connection.delete_table(TABLE, disable=True)
            connection.close()


def plain(found: Any) -> Any:
    """Make a call's result comparable: without ids, and without time stamps that the server chose."""
    if isinstance(found, list):
        return [plain(one) for one in found]
    if isinstance(found, TCell):
        return (found.value, found.timestamp if found.timestamp < 1_000_000 else "now")
    if isinstance(found, TRowResult):
        columns = {name: plain(cell) for name, cell in (found.columns or {}).items()}
        return (found.row, columns, [(one.columnName, plain(one.cell)) for one in found.sortedColumns or ()])
    return found


def outcome(client: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    """Make the call; its result, or the kind of its error with the Java class that the message begins with."""
    try:
        return plain(getattr(client, method)(*arguments))
    except TException as error:
        message = error.message or b""
        java = re.match(rb"[\w.$]+(?:Exception|Error)\b", message)
        return (type(error).__name__, getattr(error, "type", None), java[0] if java else None)


CELLS: list[Call] = [
    ("mutateRowTs", (TABLE, b"v", [put(b"f:q", b"1")], 10, {})),
    ("mutateRowTs", (TABLE, b"v", [put(b"f:q", b"2"), put(b"f:", b"e"), put(b"g:z", None)], 20, {})),
    ("mutateRowTs", (TABLE, b"v", [put(b"f:q", b"3")], 30, {})),
    ("get", (TABLE, b"v", b"f:q", {})),
    ("get", (TABLE, b"v", b"f:", {})),
    ("get", (TABLE, b"v", b"f", {})),
    ("getVer", (TABLE, b"v", b"f:q", 2, {})),
    ("getVer", (TABLE, b"v", b"f", 9, {})),
    ("getVer", (TABLE, b"v", b"f:q", 0, {})),
    ("getVerTs", (TABLE, b"v", b"f:q", 30, 9, {})),
    ("getVerTs", (TABLE, b"v", b"f:q", 10, 9, {})),
    ("getRow", (TABLE, b"v", {})),
    ("getRow", (TABLE, b"none", {})),
    ("getRowWithColumns", (TABLE, b"v", [b"f", b"g:z"], {})),
    ("getRowWithColumns", (TABLE, b"v", [b"f:q", b"f"], {})),
    ("getRowWithColumns", (TABLE, b"v", [b"f:none"], {})),
    ("getRowWithColumns", (TABLE, b"v", [], {})),
    ("getRowTs", (TABLE, b"v", 21, {})),
    ("getRowWithColumnsTs", (TABLE, b"v", [b"f"], 20, {})),
    ("getRows", (TABLE, [b"none", b"v"], {})),
    ("getRowsWithColumnsTs", (TABLE, [b"v"], [b"f:q"], 11, {})),
    ("mutateRowTs", (TABLE, b"v", [put(b"f:q", b"again")], 20, {})),
    ("getVer", (TABLE, b"v", b"f:q", 9, {})),
    ("deleteAllTs", (TABLE, b"v", b"f:q", 20, {})),
    ("getVer", (TABLE, b"v", b"f:q", 9, {})),
    ("deleteAllTs", (TABLE, b"v", b"g", 20, {})),
    ("getRow", (TABLE, b"v", {})),
    ("deleteAllRow", (TABLE, b"v", {})),
    ("getRow", (TABLE, b"v", {})),
    ("mutateRows", (TABLE, [BatchMutation(b"w", [put(b"f:a", b"1"), put(b"f:b", b"2"), drop(b"g")])], {})),
    ("getRow", (TABLE, b"w", {})),
    ("mutateRowsTs", (TABLE, [BatchMutation(b"x", [drop(b"f:a"), put(b"f:a", b"1"), put(b"f:b", b"2")])], 50, {})),
    ("getRow", (TABLE, b"x", {})),
    ("atomicIncrement", (TABLE, b"n", b"f:n", 5)),
    ("atomicIncrement", (TABLE, b"n", b"f:n", -7)),
    ("atomicIncrement", (TABLE, b"n", b"f:n", 2**63 - 1)),
    ("atomicIncrement", (TABLE, b"n", b"f:n", 10)),
    ("atomicIncrement", (TABLE, b"w", b"f:a", 1)),
    ("increment", (TIncrement(TABLE, b"n", b"f:m", 4),)),
    ("atomicIncrement", (TABLE, b"n", b"f:m", 0)),
    ("append", (TAppend(TABLE, b"p", [b"f:b", b"f:a"], [b"1", b"2"]),)),
    ("append", (TAppend(TABLE, b"p", [b"f:b"], [b"3"]),)),
    ("getRow", (TABLE, b"p", {})),
    ("checkAndPut", (TABLE, b"p", b"f:b", b"no", put(b"f:c", b"9"), {})),
    ("checkAndPut", (TABLE, b"p", b"f:b", b"13", put(b"f:c", b"9"), {})),
    ("checkAndPut", (TABLE, b"p", b"f:c", None, put(b"f:d", b"9"), {})),
    ("checkAndPut", (TABLE, b"p", b"f:none", None, put(b"f:d", b"9"), {})),
    ("getRow", (TABLE, b"p", {})),
]

ERRORS: list[Call] = [
    ("getRow", (b"none", b"v", {})),
    ("getRow", (TABLE, b"", {})),
    ("getRowTs", (TABLE, b"v", -1, {})),
    ("getRowWithColumns", (TABLE, b"v", [b"nope"], {})),
    ("mutateRow", (TABLE, b"v", [put(b"nope:a", b"")], {})),
    ("mutateRow", (TABLE, b"v", [put(b"f", b"")], {})),
    ("mutateRow", (TABLE, b"", [put(b"f:a", b"")], {})),
    ("mutateRowTs", (TABLE, b"v", [put(b"f:a", b"")], -1, {})),
    ("mutateRows", (TABLE, [BatchMutation(b"v", [put(b"f", b"")])], {})),
    ("mutateRows", (TABLE, [BatchMutation(b"", [put(b"f:a", b"")])], {})),
    ("mutateRows", (TABLE, [], {})),
    ("deleteAll", (TABLE, b"v", b"nope:a", {})),
    ("deleteAllRow", (TABLE, b"", {})),
    ("atomicIncrement", (TABLE, b"v", b"nope:a", 1)),
    ("createTable", (TABLE, [ColumnDescriptor(name=b"f")])),
    ("createTable", (b"fastpool_bad", [ColumnDescriptor(name=b"a/b")])),
    ("createTable", (b"fastpool_bad", [ColumnDescriptor(name=b"f", compression="ZIP")])),
    ("createTable", (b"fastpool_bad", [ColumnDescriptor(name=b"f", bloomFilterType="X")])),
    ("createTable", (b"fastpool_bad", [])),
    ("createTable", (b"a b", [ColumnDescriptor(name=b"f")])),
    ("createTable", (b"", [ColumnDescriptor(name=b"f")])),
    ("mutateRow", (b"a b", b"v", [put(b"f:a", b"")], {})),
    ("getTableRegions", (b"a b",)),
    ("isTableEnabled", (b"a b",)),
    ("deleteTable", (b"a b",)),
    ("deleteTable", (b"none",)),
    ("deleteTable", (TABLE,)),
    ("disableTable", (TABLE,)),
    ("disableTable", (TABLE,)),
    ("getRow", (TABLE, b"v", {})),
    ("compact", (TABLE,)),
    ("enableTable", (TABLE,)),
    ("compact", (b"none",)),
    ("enableTable", (TABLE,)),
    ("isTableEnabled", (b"none",)),
    ("getColumnDescriptors", (b"none",)),
    ("getTableRegions", (b"none",)),
    ("scannerGet", (987654,)),
    ("scannerClose", (987654,)),
    ("scannerOpenWithScan", (TABLE, TScan(filterString=b"NoFilter()"), {})),
    ("scannerOpenWithScan", (TABLE, TScan(filterString=b"PrefixFilter('a'"), {})),
]

RANGES: dict[str, Call] = {
    "all": ("scannerOpen", (TABLE, b"", [], {})),
    "from a2": ("scannerOpen", (TABLE, b"a2", [b"f:x"], {})),
    "to b1": ("scannerOpenWithStop", (TABLE, b"a1", b"b1", [b"f"], {})),
    "one": ("scannerOpenWithStop", (TABLE, b"a1", b"a1", [], {})),
    "prefix": ("scannerOpenWithPrefix", (TABLE, b"a", [], {})),
    "old": ("scannerOpenTs", (TABLE, b"", [], 20, {})),
    "old to": ("scannerOpenWithStopTs", (TABLE, b"a", b"b", [], 31, {})),
    "backwards": ("scannerOpenWithScan", (TABLE, TScan(reversed=True), {})),
    "backwards from": ("scannerOpenWithScan", (TABLE, TScan(startRow=b"b", stopRow=b"a1", reversed=True), {})),
    "sorted": ("scannerOpenWithScan", (TABLE, TScan(sortColumns=True), {})),
    "unknown table": ("scannerOpen", (b"none", b"", [], {})),
    "unknown family": ("scannerOpen", (TABLE, b"", [b"nope"], {})),
    "in pieces": ("scannerOpenWithScan", (TABLE, TScan(batchSize=2, sortColumns=True), {})),
}


@pytest.mark.parametrize("calls", [CELLS, ERRORS], ids=["cells", "errors"])
def test_calls_in_a_row_have_the_same_outcomes(both: list[Any], calls: list[Call]) -> None:
    real, ours = ([(call, outcome(client, *call)) for call in calls] for client in both)
    assert [pair for pair in zip(ours, real, strict=True) if pair[0] != pair[1]] == []


@pytest.fixture(scope="module")
def filled(both: list[Any]) -> Iterator[list[Any]]:
    """The clients of `both`; their tables hold the rows of our own tests of filters."""
    for client in both:
        for row, cells in ROWS.items():
            for column, (value, stamp) in cells.items():
                client.mutateRowTs(TABLE, row, [put(column, value)], stamp, {})
        for row in (b"v", b"w", b"x", b"n", b"p"):
            client.deleteAllRow(TABLE, row, {})
    yield both


def scan(client: Any, call: Call) -> Any:
    scanner = outcome(client, *call)
    if not isinstance(scanner, int):
        return scanner
    found = outcome(client, "scannerGetList", (scanner, 99))
    client.scannerClose(scanner)
    return found


@pytest.mark.parametrize("name", RANGES)
def test_scan_gives_the_same_rows(filled: list[Any], name: str) -> None:
    real, ours = (scan(client, RANGES[name]) for client in filled)
    assert ours == real


ON_DEMAND = "HBase refuses this backwards: reverse scan with loading CFs on demand is not supported"
SEEKS = "HBase loses rows backwards when an OR holds a filter that seeks"
DIFFERENT = {
    ("ColumnCountGetFilter(1)", False): "made for gets: HBase ends a scan at the first row with more columns",
    ("ColumnCountGetFilter(1)", True): "made for gets: HBase ends a scan at the first row with more columns",
    ("SingleColumnValueFilter('f', 'x', =, 'binary:1', true, true)", True): ON_DEMAND,
    ("SingleColumnValueFilter('f', 'x', >, 'binary:1', true, false)", True): ON_DEMAND,
    ("ColumnValueFilter('f', 'x', =, 'binary:1')", True): ON_DEMAND,
    ("PrefixFilter('b') OR ColumnPrefixFilter('yy')", True): SEEKS,
    ("PrefixFilter('b') OR PrefixFilter('a') AND ColumnPrefixFilter('y')", True): SEEKS,
}
"""Where ours gives what the filter's description promises, and HBase something else."""


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("backwards", [False, True], ids=["", "backwards"])
def test_filter_gives_the_same_rows(filled: list[Any], text: str, backwards: bool) -> None:
    wanted = TScan(filterString=text.encode(), sortColumns=True, reversed=backwards)
    real, ours = (scan(client, ("scannerOpenWithScan", (TABLE, wanted, {}))) for client in filled)
    assert (ours == real) is ((text, backwards) not in DIFFERENT), (ours, real)
