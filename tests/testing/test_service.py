"""Every method of the Thrift interface answers as HBase's gateway does, over the wire."""

from __future__ import annotations

from typing import Any

import happybase
import pytest
from Hbase_thrift import (
    AlreadyExists,
    BatchMutation,
    ColumnDescriptor,
    Hbase,
    IllegalArgument,
    Mutation,
    TAppend,
    TIncrement,
    TScan,
)
from Hbase_thrift import (
    IOError as HBaseIOError,
)
from thriftpy2.thrift import TApplicationException

from fastpool.testing import HBaseServer
from fastpool.testing.hbase.service import Service
from fastpool.testing.hbase.store import Store
from fastpool.testing.hbase.wire import load_idl

from .conftest import WIRES, Connect

FOREVER = 2**31 - 1


@pytest.fixture
def client(server: HBaseServer, connect: Connect) -> Any:
    """A raw Thrift client, and the table `t` with rows a, b, c at time stamps 1, 2, 3."""
    client = connect(server).client
    for stamp, row in enumerate((b"a", b"b", b"c"), 1):
        client.mutateRowTs(b"t", row, [Mutation(column=b"f:q", value=b"v" + row)], stamp, {})
    return client


def rows(found: list[Any]) -> dict[bytes, dict[bytes, bytes]]:
    return {one.row: {name: cell.value for name, cell in one.columns.items()} for one in found}


def values(cells: list[Any]) -> list[tuple[bytes, int]]:
    return [(cell.value, cell.timestamp) for cell in cells]


def scanned(client: Any, scanner: int) -> list[bytes]:
    found = [one.row for one in client.scannerGetList(scanner, 10)]
    client.scannerClose(scanner)
    return found


def test_every_method_of_the_interface_is_there() -> None:
    assert [name for name in load_idl().Hbase.thrift_services if not hasattr(Service, name)] == []
    assert set(load_idl().Hbase.thrift_services) == set(Hbase.thrift_services)


@pytest.mark.parametrize(("protocol", "transport"), WIRES, ids=["-".join(wire) for wire in WIRES])
@pytest.mark.parametrize("process", [False, True], ids=["thread", "process"])
def test_rows_arrive_over_every_transport(protocol: str, transport: str, process: bool, connect: Connect) -> None:
    with HBaseServer(protocol=protocol, transport=transport, process=process) as server:
        connection = connect(server, protocol=protocol, transport=transport)
        connection.create_table("big", {"f": {"max_versions": 7}})
        table = connection.table("big")
        data = {b"f:%d" % number: bytes([number]) * 50_000 for number in range(20)}
        table.put(b"r\xff\x00", data)
        assert table.row(b"r\xff\x00") == data
        assert list(table.scan(sorted_columns=True)) == [(b"r\xff\x00", dict(sorted(data.items())))]
        assert table.families()[b"f"]["max_versions"] == 7
        assert table.counter_inc(b"n", b"f:n", -3) == -3
        with pytest.raises(HBaseIOError) as raised:
            connection.table("none").row(b"r")
        assert raised.value.message == b"org.apache.hadoop.hbase.TableNotFoundException: none"


def test_families_keep_their_settings(client: Any) -> None:
    client.createTable(
        b"s",
        [
            ColumnDescriptor(name=b"a:", maxVersions=5, compression="gz", inMemory=True, bloomFilterType="ROW"),
            ColumnDescriptor(name=b"b", blockCacheEnabled=True, timeToLive=60),
        ],
    )
    a, b = (client.getColumnDescriptors(b"s")[name] for name in (b"a:", b"b:"))
    assert (a.name, a.maxVersions, a.compression, a.inMemory) == (b"a:", 5, b"GZ", True)
    assert (a.bloomFilterType, a.blockCacheEnabled, a.timeToLive) == (b"ROW", False, FOREVER)
    assert (b.name, b.maxVersions, b.compression, b.blockCacheEnabled, b.timeToLive) == (b"b:", 3, b"NONE", True, 60)


def test_regions(client: Any, server: HBaseServer) -> None:
    [region] = client.getTableRegions(b"t")
    assert (region.startKey, region.endKey, region.version) == (b"", b"", 1)
    assert region.name.startswith(b"t,,%d." % region.id)
    assert (region.serverName, region.port) == (server.host.encode(), server.port)
    assert client.getTableRegions(b"none") == []
    assert client.getRegionInfo(b"t,zzz,99999999999999").name == region.name
    with pytest.raises(HBaseIOError, match="Cannot find row in hbase:meta"):
        client.getRegionInfo(b"a")
    client.compact(b"t")
    client.majorCompact(region.name)
    with pytest.raises(HBaseIOError, match="TableNotFoundException"):
        client.compact(b"none")


def test_reading_cells(client: Any) -> None:
    client.mutateRowTs(b"t", b"a", [Mutation(column=b"f:q", value=b"new")], 9, {})
    assert values(client.get(b"t", b"a", b"f:q", {})) == [(b"new", 9)]
    assert values(client.getVer(b"t", b"a", b"f:q", 5, {})) == [(b"new", 9), (b"va", 1)]
    assert values(client.getVer(b"t", b"a", b"f", 1, {})) == [(b"new", 9)]
    assert values(client.getVerTs(b"t", b"a", b"f:q", 9, 5, {})) == [(b"va", 1)]
    assert values(client.getRowOrBefore(b"t", b"bb", b"f:")) == [(b"vb", 2)]
    assert client.get(b"t", b"a", b"f:", {}) == []
    with pytest.raises(HBaseIOError, match="versions must be positive"):
        client.getVer(b"t", b"a", b"f:q", 0, {})


def test_reading_rows(client: Any) -> None:
    a, b = {b"f:q": b"va"}, {b"f:q": b"vb"}
    assert rows(client.getRow(b"t", b"a", {})) == {b"a": a}
    assert rows(client.getRowWithColumns(b"t", b"a", [b"f:q", b"f:none"], {})) == {b"a": a}
    assert client.getRowWithColumns(b"t", b"a", [b"f:none"], {}) == []
    assert client.getRowTs(b"t", b"b", 2, {}) == []
    assert rows(client.getRowTs(b"t", b"b", 3, {})) == {b"b": b}
    assert client.getRowWithColumnsTs(b"t", b"b", [b"f"], 2, {}) == []
    assert rows(client.getRows(b"t", [b"b", b"none", b"a"], {})) == {b"b": b, b"a": a}
    assert rows(client.getRowsWithColumns(b"t", [b"a", b"b"], [b"f:q"], {})) == {b"a": a, b"b": b}
    assert rows(client.getRowsTs(b"t", [b"a", b"b"], 2, {})) == {b"a": a}
    assert rows(client.getRowsWithColumnsTs(b"t", [b"a", b"b"], [b"f"], 2, {})) == {b"a": a}


def test_writing(client: Any) -> None:
    put = Mutation(column=b"f:p", value=b"p")
    client.mutateRow(b"t", b"a", [put, Mutation(column=b"f:q", isDelete=True)], {})
    client.mutateRows(
        b"t", [BatchMutation(b"b", [put]), BatchMutation(b"c", [Mutation(column=b"f", isDelete=True)])], {}
    )
    client.mutateRowsTs(b"t", [BatchMutation(b"d", [put, Mutation(column=b"f:empty")])], 7, {})
    assert rows(client.getRows(b"t", [b"a", b"b", b"c", b"d"], {})) == {
        b"a": {b"f:p": b"p"},
        b"b": {b"f:p": b"p", b"f:q": b"vb"},
        b"d": {b"f:p": b"p", b"f:empty": b""},
    }
    client.deleteAllTs(b"t", b"d", b"f:p", 6, {})
    client.deleteAll(b"t", b"d", b"f:empty", {})
    assert rows(client.getRow(b"t", b"d", {})) == {b"d": {b"f:p": b"p"}}
    client.deleteAllRowTs(b"t", b"d", 6, {})
    assert rows(client.getRow(b"t", b"d", {})) == {b"d": {b"f:p": b"p"}}
    client.deleteAllRow(b"t", b"d", {})
    assert client.getRow(b"t", b"d", {}) == []


def test_batch_of_a_put_and_a_delete_of_the_same_cell_deletes(client: Any) -> None:
    both = [Mutation(column=b"f:q", isDelete=True), Mutation(column=b"f:q", value=b"new")]
    client.mutateRowsTs(b"t", [BatchMutation(b"z", both)], 7, {})
    assert client.getRow(b"t", b"z", {}) == []
    client.mutateRowTs(b"t", b"z", both, 7, {})
    assert rows(client.getRow(b"t", b"z", {})) == {b"z": {b"f:q": b"new"}}


def test_counting_appending_checking(client: Any) -> None:
    assert client.atomicIncrement(b"t", b"n", b"f:n", 5) == 5
    client.increment(TIncrement(b"t", b"n", b"f:n", -7))
    client.incrementRows([TIncrement(b"t", b"n", b"f:n", 1), TIncrement(b"t", b"n", b"f:n", 1)])
    assert client.atomicIncrement(b"t", b"n", b"f:n", 0) == 0
    assert client.atomicIncrement(b"t", b"n", b"f", 3) == 3
    assert [c.value for c in client.append(TAppend(b"t", b"a", [b"f:q", b"f:r"], [b"+", b"r"]))] == [b"va+", b"r"]
    put = Mutation(column=b"f:q", value=b"checked")
    assert client.checkAndPut(b"t", b"a", b"f:q", b"va", put, {}) is False
    assert client.checkAndPut(b"t", b"a", b"f:q", b"va+", put, {}) is True
    assert client.checkAndPut(b"t", b"a", b"f:none", None, put, {}) is True


def test_scanning(client: Any, server: HBaseServer) -> None:
    assert scanned(client, client.scannerOpen(b"t", b"b", [b"f"], {})) == [b"b", b"c"]
    assert scanned(client, client.scannerOpenWithStop(b"t", b"a", b"c", [], {})) == [b"a", b"b"]
    assert scanned(client, client.scannerOpenWithStop(b"t", b"b", b"b", None, {})) == [b"b"]
    assert scanned(client, client.scannerOpenWithPrefix(b"t", b"b", [b"f:q"], {})) == [b"b"]
    assert scanned(client, client.scannerOpenTs(b"t", b"", [], 3, {})) == [b"a", b"b"]
    assert scanned(client, client.scannerOpenWithStopTs(b"t", b"a", b"c", [], 2, {})) == [b"a"]
    backwards = TScan(startRow=b"c", stopRow=b"a", reversed=True)
    assert scanned(client, client.scannerOpenWithScan(b"t", backwards, {})) == [b"c", b"b"]
    assert scanned(client, client.scannerOpenWithScan(b"t", TScan(reversed=True), {})) == [b"c", b"b", b"a"]
    assert server.open_scanners == 0


def test_scanner_gives_rows_as_they_are_when_fetched(client: Any, server: HBaseServer) -> None:
    scanner = client.scannerOpen(b"t", b"", [], {})
    assert [one.row for one in client.scannerGet(scanner)] == [b"a"]
    client.deleteAllRow(b"t", b"b", {})
    client.mutateRow(b"t", b"bb", [Mutation(column=b"f:q", value=b"")], {})
    assert [one.row for one in client.scannerGetList(scanner, 9)] == [b"bb", b"c"]
    assert client.scannerGetList(scanner, 9) == []
    assert server.open_scanners == 1
    client.disableTable(b"t")
    with pytest.raises(HBaseIOError, match="TableNotEnabledException"):
        client.scannerGet(scanner)


def test_scan_batching_cuts_rows_and_sorting_sorts(client: Any) -> None:
    client.mutateRow(b"t", b"z", [Mutation(column=b"f:%d" % n, value=b"") for n in (3, 1, 2)], {})
    scanner = client.scannerOpenWithScan(b"t", TScan(startRow=b"z", batchSize=2, sortColumns=True), {})
    pieces = [[column.columnName for column in one.sortedColumns] for one in client.scannerGetList(scanner, 9)]
    assert pieces == [[b"f:1", b"f:2"], [b"f:3"]]


def test_errors_that_the_interface_declares(client: Any) -> None:
    unknown_table = client.scannerOpen(b"none", b"", [], {})
    unknown_family = client.scannerOpen(b"t", b"", [b"g"], {})
    for act, kind, message in (
        (lambda: client.createTable(b"t", [ColumnDescriptor(name=b"f")]), AlreadyExists, b"table name already in use"),
        (lambda: client.createTable(b"u", [ColumnDescriptor(name=b"a/b")]), IllegalArgument, b"Illegal character"),
        (lambda: client.mutateRow(b"t", b"", [], {}), IllegalArgument, b"Row length"),
        (lambda: client.scannerGet(99), IllegalArgument, b"scanner ID is invalid"),
        (lambda: client.scannerClose(99), IllegalArgument, b"scanner ID is invalid"),
        (lambda: client.deleteTable(b"t"), HBaseIOError, b"TableNotDisabledException: t"),
        (lambda: client.deleteTable(b"none"), HBaseIOError, b"table does not exist"),
        (lambda: client.enableTable(b"t"), HBaseIOError, b"TableNotDisabledException: t"),
        (lambda: client.isTableEnabled(b"none"), HBaseIOError, b"TableNotFoundException: none"),
        (lambda: client.scannerGet(unknown_table), HBaseIOError, b"TableNotFoundException: none"),
        (lambda: client.scannerGet(unknown_family), HBaseIOError, b"Column family g does not exist"),
        (lambda: client.mutateRow(b"a b", b"r", [], {}), IllegalArgument, b"Illegal table name"),
    ):
        with pytest.raises(kind) as raised:
            act()
        assert message in raised.value.message
        assert client.getTableNames() == [b"t"]


def test_errors_that_it_does_not_declare_are_internal_ones(client: Any) -> None:
    bad = [BatchMutation(b"r", [Mutation(column=b"f", value=b"")])]
    for act in (
        lambda: client.mutateRows(b"t", bad, {}),
        lambda: client.mutateRowsTs(b"t", [], -1, {}),
        lambda: client.scannerOpenWithScan(b"t", TScan(filterString=b"NoFilter()"), {}),
        lambda: client.getRow(b"t", None, {}),
        lambda: client.createTable(b"a b", []),
        lambda: client.isTableEnabled(b"a b"),
        lambda: client.getTableRegions(b"a b"),
        lambda: client.scannerOpen(b"a b", b"", [], {}),
        lambda: client.getRowTs(b"t", b"a", -1, {}),
    ):
        with pytest.raises(TApplicationException) as raised:
            act()
        assert raised.value.type == TApplicationException.INTERNAL_ERROR
        assert client.getTableNames() == [b"t"]


def test_store_is_shared_by_all_connections(server: HBaseServer, connect: Connect) -> None:
    first, second = connect(server), connect(server)
    first.table("t").put(b"r", {b"f:q": b"v"})
    assert second.table("t").row(b"r") == {b"f:q": b"v"}
    assert isinstance(first, happybase.Connection)


def test_service_needs_no_socket() -> None:
    service = Service(Store(), load_idl(), lambda: ("h", 1))
    service.createTable(b"t", [load_idl().ColumnDescriptor(name=b"f")])
    assert service.getTableNames() == [b"t"]
