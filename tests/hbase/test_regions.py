"""RegionPool on a real HBase: three region servers, a gateway beside each, while regions move and split."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator

import happybase
import pytest
from thriftpy2.thrift import TException

from fastpool.adapters.happybase import RegionPool
from fastpool.testing import HBaseServer
from tools.hbase.cluster import GatewayConfig, Unavailable

from ._three import HOSTS, TABLE, Clients, Three, right, settled, three

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs three loopback addresses")
CLIENTS = 4
BACK_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def hbase() -> Iterator[Three]:
    try:
        with three() as made:
            yield made
    except Unavailable as error:
        if os.environ.get("FASTPOOL_HBASE") == "required":
            raise
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def at_rest(hbase: Three) -> None:
    """Each region on its own host, whatever the test before left."""
    for start in hbase.regions():
        hbase.move(start or "-", HOSTS[(start >= "g") + (start >= "p")])


def test_calls_go_to_the_gateway_beside_the_row(hbase: Three) -> None:
    with hbase.pool() as pool:
        for row, host in zip("ahq", HOSTS, strict=True):
            assert pool.locate(TABLE, row) == hbase.addresses[HOSTS.index(host)]
        with Clients(lambda row: pool.table(TABLE, row), CLIENTS) as clients:
            time.sleep(4)
        share = right(clients.calls, hbase.regions())
        print(f"\n{len(clients.calls)} calls, {share:.2%} to the gateway beside the row")
        assert [call.error for call in clients.calls if call.error is not None] == []
        assert share >= 0.99


def test_calls_follow_a_region_that_moves(hbase: Three) -> None:
    with hbase.pool() as pool, Clients(lambda row: pool.table(TABLE, row), CLIENTS) as clients:
        time.sleep(1)
        hbase.move("-", HOSTS[1])
        moved = time.monotonic()
        time.sleep(BACK_WITHIN_S + 2)
        after = clients.since(moved)
    took = settled(after, hbase.regions(), moved)
    print(f"\nback at the right gateway {took:.2f} s after the move; {len(after)} calls")
    assert took <= BACK_WITHIN_S
    assert right(clients.since(moved + BACK_WITHIN_S), hbase.regions()) >= 0.99
    assert [call.error for call in clients.calls if call.error is not None] == []


def test_calls_follow_a_split_and_the_move_of_a_daughter(hbase: Three) -> None:
    with hbase.pool() as pool, Clients(lambda row: pool.table(TABLE, row), CLIENTS) as clients:
        time.sleep(1)
        hbase.split("s")
        hbase.move("s", HOSTS[0])
        moved = time.monotonic()
        time.sleep(BACK_WITHIN_S + 2)
        after = clients.since(moved)
    regions = hbase.regions()
    assert regions["s"] == HOSTS[0] and regions["p"] == HOSTS[2]
    took = settled(after, regions, moved)
    print(f"\nback at the right gateway {took:.2f} s after the split and the move; {len(after)} calls")
    assert took <= BACK_WITHIN_S
    assert [call.error for call in clients.calls if call.error is not None] == []


def test_a_gateway_that_is_killed_costs_no_call_its_deadline(hbase: Three) -> None:
    deadline = 5.0
    with hbase.pool(checkout_timeout=deadline, timeout=5_000, backoff=(0.05, 0.5)) as pool:
        with Clients(lambda row: pool.table(TABLE, row), CLIENTS) as clients:
            time.sleep(1)
            hbase.gateways[0].jvm.kill()
            killed = time.monotonic()
            time.sleep(4)
            served = clients.since(killed + 1)
            hbase.restart(0)
            back = time.monotonic()
            time.sleep(BACK_WITHIN_S + 2)
            after = clients.since(back)
    errors = [call for call in clients.calls if call.error is not None]
    longest = max(call.seconds for call in clients.since(killed) if call.began < back)
    print(f"\n{len(errors)} calls failed with their connections; the longest took {longest:.2f} s")
    assert longest < deadline + 5.0, "the checkout, and one call"
    assert len(errors) <= CLIENTS * 2, [call.error for call in errors]
    assert {call.host for call in served if call.error is None} == set(HOSTS[1:])
    assert settled(after, hbase.regions(), back) <= BACK_WITHIN_S
    assert right(clients.since(back + BACK_WITHIN_S), hbase.regions()) >= 0.99


def test_what_hbase_says_of_a_region_that_moved_is_understood(hbase: Three) -> None:
    """A gateway that does not ask again tells its client what it was told: it believes the region where it was."""
    impatient = hbase.cluster.gateway(GatewayConfig(host=HOSTS[0], retries=0), heap="256m")
    hbase.first_call(impatient)
    gateways = [(impatient.host, impatient.port), *hbase.addresses[1:]]
    with RegionPool(2, gateways, refresh=None, timeout=10_000) as pool:
        with pool.table(TABLE, "a") as table:
            table.row(b"a")
            assert table.connection.host == HOSTS[0]
        hbase.move("-", HOSTS[1])
        with pytest.raises(TException) as told, pool.table(TABLE, "a") as table:
            table.row(b"a")
        assert b"RegionMovedException" in told.value.message or b"NotServingRegion" in told.value.message
        end = time.monotonic() + BACK_WITHIN_S
        while pool.locate(TABLE, "a") != gateways[1]:
            assert time.monotonic() < end, f"not noticed: {told.value}"
            time.sleep(0.01)
    impatient.stop()


def test_the_in_memory_hbase_tells_regions_as_the_real_one(hbase: Three) -> None:
    with HBaseServer() as server:
        real, ours = (
            happybase.Connection(host, port) for host, port in [hbase.addresses[0], (server.host, server.port)]
        )
        ours.create_table(TABLE, {"f": {}})
        for start in list(hbase.regions())[1:]:
            server.split_region(TABLE, start)
        for start, host in hbase.regions().items():
            server.move_region(TABLE, start, host)
        told = [c.client.getTableRegions(TABLE.encode()) for c in (real, ours)]
        shapes = [[(r.startKey, r.endKey, r.version, r.serverName) for r in regions] for regions in told]
        assert shapes[0] == shapes[1]
        for region in (*told[0], *told[1]):
            assert re.fullmatch(rb"three,%s,%d\.[0-9a-f]{32}\." % (region.startKey, region.id), region.name)
            assert region.port > 0
        for connection in (real, ours):
            assert connection.client.getTableRegions(b"nowhere") == []
            connection.close()
