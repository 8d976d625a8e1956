"""The regions that a RegionPool knows, and when it looks again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from Hbase_thrift import IOError as HBaseIOError
from Hbase_thrift import TRegionInfo

from fastpool.adapters.happybase import RegionPool, region_router, regions
from fastpool.adapters.happybase.regions import Regions, addresses_of, says_moved

from ._gateways import TABLE, WITHIN_S, Gateways, eventually, needs_addresses, three_gateways

NEVER = None
MOVED = (
    "org.apache.hadoop.hbase.NotServingRegionException: t,,1.x. is not online on rs1,16020,1",
    "org.apache.hadoop.hbase.exceptions.RegionMovedException: Region moved to: hostname=rs2 port=16020",
    "java.io.IOException: failed after attempts=16 ... UnknownRegionException: t,g,1.y.",
)


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    with three_gateways() as made:
        yield made


@needs_addresses
def test_refresh_notices_a_move_and_a_split(gateways: Gateways) -> None:
    with gateways.pool(refresh=0.05) as pool:
        assert gateways.used(pool, "a") == 0
        gateways.move("a", 2)
        eventually(lambda: gateways.used(pool, "a") == 2, "the move is noticed")
        gateways.servers[0].split_region(TABLE, "d")
        gateways.move("e", 1)
        eventually(lambda: gateways.used(pool, "e") == 1, "the split is noticed")
        assert gateways.used(pool, "a") == 2
        assert pool.locate(TABLE, "e") == gateways.addresses[1]


@needs_addresses
def test_after_refresh_the_next_caller_has_the_new_place(gateways: Gateways) -> None:
    with gateways.pool(refresh=0.2) as pool:
        assert gateways.used(pool, "a") == 0
        gateways.move("a", 2)
        time.sleep(0.25)
        assert pool.locate(TABLE, "a") == gateways.addresses[2]
        gateways.move("a", 1)
        time.sleep(0.25)
        assert gateways.used(pool, "a") == 1


@needs_addresses
def test_a_look_that_is_due_holds_up_one_caller_for_a_moment(gateways: Gateways) -> None:
    with contextlib.ExitStack() as holds, gateways.pool(refresh=0.05) as pool:
        assert gateways.used(pool, "a") == 0
        for server in gateways.servers:
            holds.enter_context(server.hold("getTableRegions"))
        time.sleep(0.1)
        began = time.monotonic()
        assert gateways.used(pool, "a") == 0
        assert 0.25 <= time.monotonic() - began < 10
        began = time.monotonic()
        for _ in range(20):
            assert gateways.used(pool, "a") == 0
        assert time.monotonic() - began < 20 * 0.25


@needs_addresses
def test_without_refresh_nobody_looks_again(gateways: Gateways) -> None:
    with gateways.pool(refresh=NEVER) as pool:
        assert gateways.used(pool, "a") == 0
        gateways.move("a", 2)
        for _ in range(50):
            assert gateways.used(pool, "a") == 0
        assert gateways.looks() == 1


@needs_addresses
@pytest.mark.parametrize("message", MOVED)
@pytest.mark.parametrize("caught", [False, True], ids=["leaves the block", "is caught in it"])
def test_an_error_that_says_so_is_followed_by_a_look_at_once(gateways: Gateways, message: str, caught: bool) -> None:
    with gateways.pool(refresh=NEVER) as pool:
        assert gateways.used(pool, "a") == 0
        gateways.move("a", 2)
        gateways.servers[0].fail("getRowWithColumns", message=message)
        with contextlib.nullcontext() if caught else pytest.raises(HBaseIOError):
            with pool.table(TABLE, "a") as table:
                with pytest.raises(HBaseIOError) if caught else contextlib.nullcontext():
                    table.row("a")
        assert pool.locate(TABLE, "a") == gateways.addresses[2], "it waits for the look"
        assert gateways.used(pool, "a") == 2
        assert pool.stats().closed["error"] == 0, "the connection is in step"


@needs_addresses
def test_an_error_raised_by_the_application_counts_too(gateways: Gateways) -> None:
    with gateways.pool(refresh=NEVER) as pool:
        assert gateways.used(pool, "a") == 0
        gateways.move("a", 1)
        with pytest.raises(HBaseIOError), pool.connection(TABLE, "a"):
            raise HBaseIOError(message=MOVED[0].encode())
        eventually(lambda: gateways.used(pool, "a") == 1, "the move is noticed")


@needs_addresses
def test_another_error_is_no_reason_to_look(gateways: Gateways) -> None:
    with gateways.pool(refresh=NEVER) as pool:
        with pool.table(TABLE, "a") as table, pytest.raises(HBaseIOError, match="NoSuchColumnFamily"):
            table.put("a", {"nowhere:q": "x"})
        with pytest.raises(KeyError), pool.connection(TABLE, "a"):
            raise KeyError("x")
        assert gateways.used(pool, "a") == 0
        assert gateways.looks() == 1


def test_what_says_that_a_region_moved() -> None:
    assert all(says_moved(HBaseIOError(message=message)) for message in MOVED)
    assert all(says_moved(HBaseIOError(message=message.encode())) for message in MOVED)
    for error in (HBaseIOError(message=None), HBaseIOError(message=b"\xff TableNotFoundException"), KeyError("moved")):
        assert not says_moved(error)


@needs_addresses
def test_what_was_known_stays_while_nobody_answers(gateways: Gateways) -> None:
    with gateways.pool(refresh=0.02) as pool:
        assert gateways.used(pool, "a") == 0
        for server in gateways.servers:
            server.fail("getTableRegions", message="java.io.IOException: no meta", times=10**6)
        gateways.move("a", 1)
        before = gateways.looks()
        eventually(lambda: (gateways.used(pool, "a"), gateways.looks() > before + 3)[1], "somebody looks in vain")
        assert gateways.used(pool, "a") == 0
        for server in gateways.servers:
            server._script.restart()
        eventually(lambda: gateways.used(pool, "a") == 1, "somebody answers again")


@needs_addresses
def test_a_gateway_that_does_not_answer_is_passed_over(gateways: Gateways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(region_router, "LOOK_S", 0.3)
    with gateways.pool(refresh=NEVER) as pool, gateways.servers[0].hold("getTableRegions") as first:
        with gateways.servers[1].hold("getTableRegions"), ThreadPoolExecutor(1) as background:
            found = background.submit(pool.locate, TABLE, "a")
            assert found.result(WITHIN_S) == gateways.addresses[0]
        del first


@needs_addresses
def test_the_first_look_costs_at_most_half_of_the_callers_time(gateways: Gateways) -> None:
    with contextlib.ExitStack() as holds, gateways.pool() as pool:
        for server in gateways.servers:
            holds.enter_context(server.hold("getTableRegions"))
        began = time.monotonic()
        with pool.connection(TABLE, "q", timeout=0.6) as connection:
            assert connection.tables() == [TABLE.encode()]
        assert 0.3 <= time.monotonic() - began < 10
        began = time.monotonic()
        with pool.connection(TABLE, "q", timeout=0) as connection:
            assert connection.tables() == [TABLE.encode()]


@needs_addresses
def test_a_table_that_is_made_later_is_found(gateways: Gateways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "AGAIN_S", 0.05)
    with gateways.pool() as pool:
        assert pool.locate("late", "a") is None
        with pool.connection() as connection:
            connection.create_table("late", {"f": {}})
        gateways.servers[0].move_region("late", "a", "127.0.0.3")
        eventually(lambda: pool.locate("late", "a") == gateways.addresses[2], "the new table is found")


def test_hosts_are_compared_by_their_addresses() -> None:
    from fastpool.testing import HBaseServer

    with HBaseServer("localhost") as server, HBaseServer("localhost", gateway_to=server) as other:
        gateways = [("localhost", server.port), ("127.0.0.1", other.port)]
        with RegionPool(1, gateways) as pool:
            with pool.connection() as connection:
                connection.create_table(TABLE, {"f": {}})
            for host in ("localhost", "127.0.0.1", "LOCALHOST"):
                server.move_region(TABLE, "a", host)
                with RegionPool(1, gateways[:1]) as fresh:
                    assert fresh.locate(TABLE, "a") == gateways[0]
            server.move_region(TABLE, "a", "192.0.2.7")
            with RegionPool(1, gateways) as fresh:
                assert fresh.locate(TABLE, "a") is None
    assert "127.0.0.1" in addresses_of("localhost")
    assert addresses_of("host.invalid") == addresses_of("x" * 300) == frozenset()
    assert addresses_of("::ffff:127.0.0.1") == {"127.0.0.1"}


# The map of regions alone


def info(start: str, end: str, host: str, number: int = 1) -> Any:
    return TRegionInfo(startKey=start.encode(), endKey=end.encode(), id=number, serverName=host.encode(), port=16020)


class Asked:
    """Regions over a list that the test changes; looks are made at once, by the caller."""

    def __init__(self, *found: Any, refresh: float | None = None) -> None:
        self.found = list(found)
        self.looks = 0
        self.regions = Regions((("127.0.0.1", 1), ("127.0.0.2", 2)), refresh, self.ask, lambda job: job())

    def ask(self, table: bytes) -> list[Any]:
        self.looks += 1
        return self.found

    def __call__(self, row: str) -> tuple[int, ...] | None:
        known = self.regions.known(b"t")
        if known is None or known.is_due:
            self.regions.look(b"t")
        known = self.regions.known(b"t")
        return None if known is None else known.find(row.encode())


def test_the_daughters_of_a_region_hold_beside_it() -> None:
    parent = info("", "m", "127.0.0.1", 1)
    daughters = [info("", "g", "127.0.0.2", 2), info("g", "m", "127.0.0.1", 2)]
    last = info("m", "", "127.0.0.2", 1)
    for found in ([parent, *daughters, last], [last, *daughters, parent]):
        asked = Asked(*found)
        assert [asked(row) for row in ("", "f", "g", "l", "m", "z")] == [(1,), (1,), (0,), (0,), (1,), (1,)]
        assert asked.looks == 1


def test_rows_of_no_region_that_is_known_and_regions_on_their_way() -> None:
    asked = Asked(info("b", "g", "127.0.0.1"), info("m", "", ""))
    assert [asked(row) for row in ("a", "b", "g", "l", "m", "z")] == [(), (0,), (), (), (), ()]


def test_a_table_without_regions_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regions, "AGAIN_S", 0.0)
    monkeypatch.setattr(regions, "BETWEEN_S", 0.0)
    asked = Asked()
    assert asked("a") == asked("a") == () and asked.looks == 2
    asked.found = [info("", "", "127.0.0.2")]
    assert asked("a") == (1,)


def test_a_storm_of_errors_is_a_few_looks() -> None:
    """Each look takes a moment, and what is asked for meanwhile is asked for once."""
    waiting: list[Any] = []
    asked = Asked(info("", "", "127.0.0.1"))
    asked("a")
    asked.regions._do = waiting.append
    for _ in range(1000):
        asked.regions.heard(HBaseIOError(message=MOVED[0]))
    assert len(waiting) == 1
    waiting.pop()()
    assert asked.looks == 2


def test_a_look_that_cannot_be_made_is_made_for_the_next_caller() -> None:
    asked = Asked(info("", "", "127.0.0.1"))

    def no_thread(job: Any) -> None:
        raise RuntimeError("can't start new thread")

    asked.regions._do = no_thread
    assert asked("a") is None
    asked.regions._do = lambda job: job()
    assert asked("a") == (0,)
