"""The in-memory HBase's regions, several gateways to one HBase, and HBase's own errors on demand."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Iterator
from typing import Any

import happybase
import pytest
from Hbase_thrift import IOError as HBaseIOError

from fastpool.testing import HBaseServer


@pytest.fixture
def server() -> Iterator[HBaseServer]:
    with HBaseServer() as server:
        yield server


@contextlib.contextmanager
def connected(server: HBaseServer) -> Iterator[Any]:
    connection = happybase.Connection(server.host, server.port)
    yield connection
    connection.close()


def keys(connection: Any) -> list[tuple[bytes, bytes]]:
    return [(region["start_key"], region["end_key"]) for region in connection.table("t").regions()]


def test_regions_are_split_and_moved(server: HBaseServer) -> None:
    with connected(server) as connection:
        connection.create_table("t", {"f": {}})
        [whole] = connection.table("t").regions()
        assert (whole["server_name"], whole["port"]) == (server.host.encode(), server.port)
        server.split_region("t", "m")
        server.split_region(b"t", b"g")
        assert keys(connection) == [(b"", b"g"), (b"g", b"m"), (b"m", b"")]
        server.move_region("t", "h", "rs2.example", 16020)
        first, second, third = connection.table("t").regions()
        assert (second["server_name"], second["port"]) == (b"rs2.example", 16020)
        assert first["server_name"] == third["server_name"] == server.host.encode()
        names = [region["name"] for region in (first, second, third)]
        assert len({*names, whole["name"]}) == 4, "daughters have names of their own"
        for region in (first, second, third):
            pattern = rb"t,%s,%d\.[0-9a-f]{32}\." % (region["start_key"], region["id"])
            assert re.fullmatch(pattern, region["name"])
        assert connection.client.getRegionInfo(b"t,h,99999999999999").name == second["name"]
        assert connection.client.getRegionInfo(b"t,a,99999999999999").name == first["name"]
        connection.client.majorCompact(second["name"])


def test_a_region_that_begins_there_cannot_be_split_there(server: HBaseServer) -> None:
    with connected(server) as connection:
        connection.create_table("t", {"f": {}})
    server.split_region("t", "m")
    with pytest.raises(ValueError, match="begins at b'm'"):
        server.split_region("t", "m")
    with pytest.raises(ValueError, match="begins at b''"):
        server.split_region("t", "")


def test_splits_at_the_same_time_are_all_made(server: HBaseServer) -> None:
    with connected(server) as connection:
        connection.create_table("t", {"f": {}})
        threads = [threading.Thread(target=server.split_region, args=("t", f"{n:03}")) for n in range(1, 40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        edges = [b"", *(b"%03d" % n for n in range(1, 40)), b""]
        assert keys(connection) == list(itertools.pairwise(edges))


def test_several_gateways_have_the_same_tables(server: HBaseServer) -> None:
    with HBaseServer(gateway_to=server) as other, connected(server) as here, connected(other) as there:
        here.create_table("t", {"f": {}})
        here.table("t").put(b"a", {b"f:q": b"1"})
        assert there.table("t").row(b"a") == {b"f:q": b"1"}
        other.split_region("t", "m")
        assert keys(here) == keys(there) == [(b"", b"m"), (b"m", b"")]
        [region, _] = there.table("t").regions()
        assert region["port"] == other.port, "a region that was never moved is where one asks"
    for options in ({"process": True}, {}):
        with pytest.raises(ValueError, match="gateway_to"):
            HBaseServer(gateway_to=HBaseServer(process=not options), **options)


def test_fail_answers_by_hbases_error_and_does_nothing_else(server: HBaseServer) -> None:
    with connected(server) as connection:
        connection.create_table("t", {"f": {}})
        table = connection.table("t")
        server.fail("mutateRows", message="java.io.IOException: no", times=2)
        for _ in range(2):
            with pytest.raises(HBaseIOError, match="no"):
                table.put(b"a", {b"f:q": b"1"})
        assert table.row(b"a") == {}
        table.put(b"a", {b"f:q": b"2"})
        assert table.row(b"a") == {b"f:q": b"2"}
        server.fail(message="anything")
        with pytest.raises(HBaseIOError, match="anything"):
            connection.tables()
        with pytest.raises(ValueError, match="method"):
            server.fail("nothing", message="x")


def test_they_need_the_server_in_this_process() -> None:
    with HBaseServer(process=True) as server:
        for call in (
            lambda: server.split_region("t", "m"),
            lambda: server.move_region("t", "m", "h"),
            lambda: server.fail(message="x"),
        ):
            with pytest.raises(RuntimeError, match="process=True"):
                call()
