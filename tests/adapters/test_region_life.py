"""A RegionPool has all that ConnectionPool has: its life, sizes, figures and events, pickling, forks and tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import fastpool
from fastpool.adapters.happybase import RegionPool

from ._gateways import ROWS, TABLE, WITHIN_S, Gateways, eventually, held, needs_addresses, three_gateways

pytestmark = needs_addresses


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    with three_gateways() as made:
        yield made


def opened(gateways: Gateways) -> list[int]:
    return [server.connections_open for server in gateways.servers]


# Sizes


def test_size_is_each_gateways_and_max_size_all_of_them(gateways: Gateways) -> None:
    with gateways.pool(2, name="regions") as pool:
        assert pool.stats().max_size == 6
        assert [member.config.max_size for member in pool.pools] == [2, 2, 2]
        assert [member.name for member in pool.pools] == [f"regions@{h}:{p}" for h, p in gateways.addresses]
        assert pool.warm() == 6 == len(pool)
        assert all(server.wait_connections(2) for server in gateways.servers)
        assert repr(pool) == "<fastpool.RegionPool 'regions' 0 leased, 6 idle, 0 waiting, max 6>"


def test_one_connection_is_opened_with_the_pool_and_min_size_is_spread(gateways: Gateways) -> None:
    with gateways.pool() as pool:
        assert len(pool) == 1
        eventually(lambda: sum(opened(gateways)) == 1, "one is open")
    with gateways.pool(min_size=4) as pool:
        assert pool.stats().min_size == 4 == len(pool)
        assert [len(member) for member in pool.pools] == [2, 1, 1]
    with gateways.pool(open=False) as pool:
        assert len(pool) == 1, "with opens it"
    pool = gateways.pool(open=False)
    assert len(pool) == 0
    pool.close()


def test_a_pool_opens_with_what_is_there(gateways: Gateways) -> None:
    gateways.servers[0].stop()
    with gateways.pool(min_size=3) as pool:
        assert [len(member) for member in pool.pools] == [0, 1, 1]
        assert gateways.used(pool, "a") in (1, 2)
        gateways.servers[0].start()
        eventually(lambda: len(pool.pools[0]) == 1, "the keeper opens what is missing")


def test_overflow_and_max_idle_are_the_whole_pools(gateways: Gateways) -> None:
    with gateways.pool(1, max_overflow=1, max_idle=2, nested=False) as pool:
        every = [pool.checkout(timeout=0) for _ in range(4)]
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.checkout(timeout=0)
        assert pool.stats().leased == 4
        for c in every:
            pool.checkin(c)
        assert pool.stats().idle == 2
        assert pool.stats().closed["overflow"] + pool.stats().closed["max_idle"] == 2


def test_resize(gateways: Gateways) -> None:
    with gateways.pool(2) as pool:
        pool.warm()
        pool.resize(max_size=4, min_size=1)
        assert (pool.stats().max_size, pool.stats().min_size, len(pool)) == (4, 1, 4)
        assert pool.stats().closed["resized"] == 2
        pool.resize(max_size=9)
        assert pool.warm() == 9
        assert all(server.wait_connections(3) for server in gateways.servers)
        with pytest.raises(ValueError, match="number of gateways"):
            pool.resize(max_size=2)
        with pytest.raises(TypeError):
            pool.resize(size=2)  # type: ignore[call-arg]
        assert pool.stats().max_size == 9
        assert pool.warm(4) == 9


def test_no_gateway_ever_sees_more_than_size(gateways: Gateways) -> None:
    most = [0, 0, 0]
    pool = gateways.pool(2, nested=False)

    def work(seed: int) -> None:
        for turn in range(40):
            row = "ahq"[(seed + turn * 7) % 3] if turn % 4 else None
            with pool.connection(None if row is None else TABLE, row) as connection:
                assert connection.tables() == [TABLE.encode()]
                for number, count in enumerate(opened(gateways)):
                    most[number] = max(most[number], count)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, range(12)))
    assert max(most) <= 2
    stats = pool.stats()
    assert (stats.leased, stats.checkouts, stats.checkins, stats.timeouts) == (0, 480, 480, 0)
    pool.close()


# Life


def test_close(gateways: Gateways) -> None:
    pool = gateways.pool(1)
    with ThreadPoolExecutor(1) as background:
        with held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1):
            waiting = background.submit(gateways.used, pool, "a")
            eventually(lambda: pool.stats().waiting == 1, "the caller waits")
            pool.close()
            with pytest.raises(fastpool.PoolClosed):
                waiting.result(WITHIN_S)
            assert pool.closed and pool.stats().leased == 3
    pool.close()
    assert len(pool) == 0 and all(server.wait_connections(0) for server in gateways.servers)
    with pytest.raises(fastpool.PoolClosed), pool.connection(TABLE, "a"):
        raise AssertionError("it is closed")
    with pytest.raises(fastpool.PoolClosed):
        pool.open()


def test_close_waits_for_blocks_and_then_drops_them(gateways: Gateways) -> None:
    pool = gateways.pool(1)
    with pool.connection(TABLE, "h") as connection:
        began = time.monotonic()
        pool.close(timeout=0.1)
        assert 0.1 <= time.monotonic() - began < 10
        with pytest.raises(fastpool.LeaseError):
            connection.tables()
    assert len(pool) == 0


def test_clear_replaces_the_connections_of_all_gateways(gateways: Gateways) -> None:
    with gateways.pool(1) as pool:
        pool.warm()
        with pool.connection(TABLE, "a"):
            pool.clear("because")
            assert len(pool) == 1
        assert len(pool) == 0
        assert pool.stats().closed["cleared"] == 3
        assert gateways.used(pool, "a") == 0


def test_a_pool_that_is_dropped_ends(gateways: Gateways) -> None:
    pool = gateways.pool(1)
    assert gateways.used(pool, "a") == 0
    del pool
    eventually(lambda: gc.collect() >= 0 and sum(opened(gateways)) == 0, "its connections are closed")


# Figures


def test_figures_are_those_of_all_gateways(gateways: Gateways) -> None:
    with gateways.pool(2, timing=True, name="figures") as pool:
        for row in "aahq":
            assert gateways.used(pool, row) == ROWS[row]
        with held(pool, "a", 1), held(pool, "q", 2):
            stats = pool.stats()
            assert (stats.name, stats.size, stats.leased, stats.idle) == ("figures", len(pool), 3, len(pool) - 3)
            assert Counter(lease.server for lease in pool.leases()) == {
                gateways.addresses[0]: 1,
                gateways.addresses[2]: 2,
            }
        stats = pool.stats()
        assert (stats.checkouts, stats.checkins, stats.leased, stats.waits) == (7, 7, 0, 0)
        assert stats.connects == stats.connect.count == len(pool)
        assert stats.hold.count == stats.wait.count == 7 + 1, "the look at the table, too, held a connection"


def test_it_is_found_by_its_name(gateways: Gateways) -> None:
    with gateways.pool(name="by its name") as pool:
        assert fastpool.get_pool("by its name") is pool


def test_events_are_told_once(gateways: Gateways) -> None:
    told: list[Any] = []
    names = (
        "pool_opened pool_cleared pool_closed checkout_started checked_out checked_in checkout_failed connected "
        "wait_started server_down"
    )
    listener = dict.fromkeys(names.split(), told.append)
    with gateways.pool(1, listeners=[listener], name="events") as pool:
        gateways.used(pool, "h")
        eventually(lambda: len(told) >= 7, "all is told")
        looks = 1
        count = Counter(event.name for event in told)
        assert (count["pool_opened"], count["checkout_started"]) == (1, 1)
        assert count["checked_out"] == count["checked_in"] == 1 + looks
        assert {event.server for event in told if event.name == "checked_out"} <= set(gateways.addresses)
        told.clear()
        with held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1):
            told.clear()
            with pytest.raises(fastpool.NoConnectionsAvailable), pool.connection(TABLE, "a", timeout=0.01):
                raise AssertionError("there was a fourth connection")
        count = Counter(event.name for event in told)
        assert (count["wait_started"], count["checkout_failed"]) == (1, 1)
        told.clear()
        pool.clear()
    assert [event.name for event in told if event.name.startswith("pool_")] == ["pool_cleared", "pool_closed"]


def test_every_option_reaches_the_gateways_pools() -> None:
    options: dict[str, Any] = {
        "order": "fifo", "max_lifetime": 60.0, "idle_timeout": 50.0, "max_uses": 9, "check_timeout": 1.0,
        "check_after": 0.25, "keepalive": 20.0, "max_connecting": 2, "backoff": (0.2, 0.4), "leak_after": 9.0,
        "timing": True, "reclaim": False, "collect_garbage": True, "nested": False,
    }  # fmt: skip
    pool = RegionPool(3, ["127.0.0.1:1", "127.0.0.2:1"], open=False, timeout=1500, checkout_timeout=7.0, **options)
    for member in pool.pools:
        assert {name: getattr(member.config, name) for name in options} == options
        assert member.config.timeout == pool.config.timeout == 7.0
        assert member.driver.connection_kwargs == {"timeout": 1500}
    pool.close()


# Processes


def test_it_travels_as_its_configuration(gateways: Gateways) -> None:
    with gateways.pool(2, refresh=7.0, name="travels", table_prefix="app", balance="random") as pool:
        packed = pickle.dumps(pool)
        assert pickle.loads(packed) is pool
    arrived = pickle.loads(packed)
    assert arrived is not pool and pickle.loads(packed) is arrived
    assert (arrived.config, arrived.gateways) == (pool.config, pool.gateways)
    assert arrived.router.whole_name(b"t", arrived.connection(TABLE)._wanted.prefix) == b"app_t"
    assert gateways.used(arrived, "a") in range(3)
    arrived.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork with threads
def test_a_child_connects_anew_and_leaves_the_parent_alone(gateways: Gateways) -> None:
    with gateways.pool(1) as pool:
        with pool.connection() as connection:
            connection.create_table("u", {"f": {}})
        gateways.servers[0].move_region("u", "a", "127.0.0.1")
        assert gateways.used(pool, "a") == 0
        pool.router.regions._looking.replace(False, True)  # as if a thread of the parent's were looking
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                ok = pool.locate("u", "a") is not None
                ok = ok and all(gateways.used(pool, row) == number for row, number in ROWS.items())
                with pool.table(TABLE, "a") as table:
                    ok = ok and table.row("a") == {} and pool.stats().connects >= 1
                os.write(writer, b"ok" if ok else b"no")
            finally:
                os._exit(0)
        os.close(writer)
        assert os.read(reader, 10) == b"ok"
        os.close(reader)
        os.waitpid(child, 0)
        pool.router.regions._looking.replace(True, False)
        with pool.connection(TABLE, "a") as connection:
            assert connection.tables() == [TABLE.encode(), b"u"]


# Tasks


def test_tasks_are_routed_and_wait_in_the_same_line(gateways: Gateways) -> None:
    async def used(row: str | None, **options: Any) -> int:
        async with pool.aconnection(None if row is None else TABLE, row, **options) as connection:
            return gateways.number(connection)

    async def main() -> None:
        assert [await used(row) for row in "ahq"] == [0, 1, 2]
        async with pool.aconnection(TABLE, "a") as outer:
            assert await used("h") == 1 and await used(None) == 0
            async with pool.aconnection(TABLE, "b") as inner:
                assert inner is outer
            assert await asyncio.create_task(used("a")) in (1, 2), "another task does not share it"
            with held(pool, "h", 1), held(pool, "q", 1):
                with pytest.raises(fastpool.NoConnectionsAvailable):
                    await asyncio.create_task(used("a", timeout=0.1))
                waiting = asyncio.create_task(used("a"))
                while not pool.stats().waiting:
                    await asyncio.sleep(0.001)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
        assert pool.stats().leased == 0
        with pytest.raises(KeyError):
            async with pool.aconnection(TABLE, "a"):
                raise KeyError("mine")

        @pool.aconnection(TABLE, "h")
        async def leased() -> list[Any]:
            return [lease.server for lease in pool.leases()]

        assert await leased() == await leased() == [gateways.addresses[1]]

    with gateways.pool(1) as pool:
        asyncio.run(main())
        assert gateways.used(pool, "a") == 0
        with held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1):
            assert pool.stats().leased == 3, "no permit was lost"


def test_a_task_that_is_cancelled_anywhere_loses_nothing(gateways: Gateways) -> None:
    async def one(row: str) -> None:
        async with pool.aconnection(TABLE, row) as connection:
            await asyncio.to_thread(connection.tables)

    async def main() -> None:
        for turn in range(60):
            tasks = [asyncio.create_task(one("ahq"[(turn + n) % 3])) for n in range(5)]
            for _ in range(turn % 12):
                await asyncio.sleep(0)
            tasks[turn % 5].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    with gateways.pool(1) as pool:
        asyncio.run(main())
        eventually(lambda: pool.stats().leased == 0, "all came back")
        with held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1):
            assert pool.stats().leased == 3


# A block that ends elsewhere


def test_a_block_may_end_in_another_thread(gateways: Gateways) -> None:
    def generator() -> Iterator[None]:
        with pool.connection(TABLE, "a"):
            yield

    with gateways.pool(1) as pool:
        for _ in range(4):
            suspended = generator()
            next(suspended)
            thread = threading.Thread(target=suspended.close)  # the block ends in another thread
            thread.start()
            thread.join(WITHIN_S)
        assert pool.stats().leased == 0
        with held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1):
            assert pool.stats().leased == 3
