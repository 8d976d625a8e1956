"""RegionPool gives a row's caller the gateway beside the row, and any other one where that cannot be."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import happybase
import pytest
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.adapters.happybase import RegionPool

from ._gateways import ROWS, TABLE, WITHIN_S, Gateways, eventually, held, needs_addresses, three_gateways

pytestmark = needs_addresses


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    with three_gateways() as made:
        yield made


def test_each_row_is_served_by_the_gateway_beside_it(gateways: Gateways) -> None:
    with gateways.pool() as pool:
        for row, number in ROWS.items():
            assert gateways.used(pool, row) == number
            assert pool.locate(TABLE, row) == gateways.addresses[number]
            with pool.connection(TABLE.encode(), row.encode()) as connection:
                assert type(connection).__mro__.count(happybase.Connection) == 1
                assert gateways.number(connection) == number
        for row in ("", "f\xff", "g", "ozzz", "p", "zzz"):  # at the borders of the regions
            assert gateways.used(pool, row) == (row >= "g") + (row >= "p")
        assert gateways.looks() == 1


def test_table_gives_a_table_beside_the_row(gateways: Gateways) -> None:
    with gateways.pool() as pool:
        for row, number in ROWS.items():
            with pool.table(TABLE, row) as table:
                table.put(row, {"f:q": row})
                assert table.row(row) == {b"f:q": row.encode()}
                assert gateways.number(table.connection) == number
        with pool.table(TABLE) as table:
            assert [key.decode() for key, _ in table.scan()] == sorted(ROWS)


def test_without_a_row_the_least_leased_gateway_is_given(gateways: Gateways) -> None:
    with gateways.pool() as pool, held(pool, "a", 2), held(pool, "q", 1):
        assert gateways.used(pool) == 1
        with held(pool, "h", 2):
            assert gateways.used(pool) == 2
        assert gateways.used(pool) == 1


def test_a_table_that_is_nowhere_is_served_by_any_gateway(gateways: Gateways) -> None:
    with gateways.pool() as pool:
        with pool.connection("nowhere", "a") as connection:
            assert connection.tables() == [TABLE.encode()]
        assert pool.locate("nowhere", "a") is None
        gateways.servers[0].move_region(TABLE, "a", "192.0.2.1")  # a host without a gateway
        with gateways.pool(name="another") as fresh:
            assert fresh.locate(TABLE, "a") is None
            assert gateways.used(fresh, "a") in range(3)


@pytest.mark.parametrize("balance", ["round_robin", "random", "least_leased", min])
def test_balance_sorts_the_gateways_when_no_row_is_given(gateways: Gateways, balance: Any) -> None:
    by_port = (lambda servers, leased: min(servers)) if balance is min else balance
    with gateways.pool(balance=by_port, min_size=6) as pool:
        used = [gateways.used(pool) for _ in range(30)]
    if balance is min:
        assert set(used) == {gateways.addresses.index(min(gateways.addresses))}
    elif balance == "random":
        assert set(used) == {0, 1, 2}
    else:
        assert all(used.count(number) == 10 for number in range(3))


# Busy, down, hung


def test_a_gateway_without_a_free_connection_is_waited_for_50_ms(gateways: Gateways) -> None:
    with gateways.pool() as pool, held(pool, "a", 2):
        began = time.monotonic()
        assert gateways.used(pool, "a") in (1, 2)
        assert 0.045 <= time.monotonic() - began < WITHIN_S
        began = time.monotonic()
        assert gateways.used(pool, "a", timeout=0) in (1, 2)


def test_a_connection_that_comes_free_in_time_is_the_right_one(gateways: Gateways) -> None:
    with gateways.pool() as pool, held(pool, "a", 2) as release:
        threading.Timer(0.01, release).start()
        took, used = [], 1
        for _ in range(5):  # on a slow machine the release may come too late
            began = time.monotonic()
            used = gateways.used(pool, "a")
            took.append(time.monotonic() - began)
        assert used == 0, took


def test_one_that_waited_for_any_gateway_goes_to_the_one_that_came_free(gateways: Gateways) -> None:
    """It stands in one line for all gateways, not in that of its own, which stays busy."""
    with gateways.pool(1) as pool, held(pool, "a", 1), held(pool, "q", 1), ThreadPoolExecutor(1) as background:
        with held(pool, "h", 1) as release:
            waiting = background.submit(gateways.used, pool, "a")
            eventually(lambda: pool.stats().waiting == 1, "the caller waits")
            release()
            assert waiting.result(WITHIN_S) == 1


def test_a_gateway_that_is_down_is_replaced_by_another_and_used_again_when_it_is_back(gateways: Gateways) -> None:
    with gateways.pool(backoff=(0.01, 0.05), check_after=0) as pool:
        assert gateways.used(pool, "a") == 0
        gateways.servers[0].stop()
        for _ in range(20):
            with pool.connection(TABLE, "a", timeout=10) as connection:
                assert connection.tables() == [TABLE.encode()]
                assert gateways.number(connection) in (1, 2)
        gateways.servers[0].start()
        eventually(lambda: gateways.used(pool, "a") == 0, "the gateway serves again")


def test_all_refuse(gateways: Gateways) -> None:
    pool = gateways.pool(check_after=0)
    for server in gateways.servers:
        server.stop()
    for arguments in ((), (TABLE, "a")):
        with pytest.raises(fastpool.AllServersUnavailable) as told, pool.connection(*arguments, timeout=20):
            raise AssertionError("a connection to nowhere")
        assert isinstance(told.value.__cause__, TTransportException)
        for host, port in gateways.addresses:
            assert f"{host}:{port} failed: " in str(told.value)
    stats = pool.stats()
    assert (stats.leased, stats.size, stats.waiting) == (0, 0, 0)
    pool.close()


def test_one_gateway_that_refuses_is_all_of_them(closed_port: Any) -> None:
    with pytest.raises(fastpool.AllServersUnavailable):
        RegionPool(1, [("127.0.0.1", closed_port())])


def test_a_gateway_that_hangs_in_connect_costs_a_moment_and_no_deadline(gateways: Gateways) -> None:
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.4", 0))
        listener.listen(0)
        for _ in range(4):  # fills its queue: whoever comes now is not answered
            client = open_sockets.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        hung = RegionPool(1, [listener.getsockname(), gateways.addresses[1]], open=False)
        gateways.servers[0].move_region(TABLE, "a", "127.0.0.4")
        for _ in range(3):
            began = time.monotonic()
            with hung.connection(TABLE, "a", timeout=15) as connection:
                assert gateways.number(connection) == 1
            assert time.monotonic() - began < 10
        hung.close()


def test_the_deadline_holds_where_all_are_busy(gateways: Gateways) -> None:
    with gateways.pool(1) as pool, held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1):
        for timeout in (0, 0.02, 0.3):
            began = time.monotonic()
            with pytest.raises(happybase.NoConnectionsAvailable) as told, pool.connection(TABLE, "a", timeout=timeout):
                raise AssertionError("there was a fourth connection")
            assert timeout <= time.monotonic() - began < timeout + 10
            assert isinstance(told.value, fastpool.NoConnectionsAvailable)
            assert {holder.server for holder in told.value.holders} == set(gateways.addresses)
        assert pool.stats().timeouts == 3


def test_the_deadline_holds_where_the_others_are_down(gateways: Gateways) -> None:
    """The permits of gateways that are down are there, but no connections."""
    with gateways.pool(1) as pool, held(pool, "a", 1):
        for server in gateways.servers[1:]:
            server.stop()
        began = time.monotonic()
        with pytest.raises(fastpool.NoConnectionsAvailable), pool.connection(TABLE, "a", timeout=0.4):
            raise AssertionError("there was a second connection")
        assert 0.4 <= time.monotonic() - began < 10
        assert pool.stats().timeouts == 1


def test_those_that_wait_for_the_one_gateway_left_are_all_served(gateways: Gateways) -> None:
    with gateways.pool(1) as pool, ThreadPoolExecutor(3) as background:
        for server in gateways.servers[1:]:
            server.stop()
        with held(pool, "a", 1):
            waiting = [background.submit(gateways.used, pool, row, timeout=WITHIN_S) for row in "ahq"]
            time.sleep(0.15)  # they have tried more than once
        assert [one.result(WITHIN_S) for one in waiting] == [0, 0, 0]


def test_max_waiting_is_one_line_for_all(gateways: Gateways) -> None:
    with gateways.pool(1, max_waiting=1) as pool, held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1) as release:
        with ThreadPoolExecutor(1) as background:
            waiting = background.submit(gateways.used, pool, "a")
            eventually(lambda: pool.stats().waiting == 1, "the caller waits")
            with pytest.raises(fastpool.PoolOverloaded), pool.connection(TABLE, "h"):
                raise AssertionError("a second one could wait")
            release()
            assert waiting.result(WITHIN_S) == 2
        assert pool.stats().rejected == 1


# Nesting


def test_nesting_is_per_gateway(gateways: Gateways) -> None:
    with gateways.pool(1) as pool, pool.connection(TABLE, "a") as outer:
        with pool.connection(TABLE, "b") as inner, pool.connection() as innermost:
            assert inner is outer and innermost is outer
        with pool.connection(TABLE, "h") as other:
            assert other is not outer and gateways.number(other) == 1
            with pool.connection() as last:
                assert last is other, "without a row, the block around it"
        assert pool.stats().leased == 1


# Prefixes


def test_a_prefix_is_part_of_the_tables_name(gateways: Gateways) -> None:
    for name in ("app_t", "x-t"):
        with gateways.pool() as pool, pool.connection() as connection:
            connection.create_table(name, {"f": {}})
        gateways.servers[0].move_region(name, "a", "127.0.0.3" if name == "app_t" else "127.0.0.2")
    with gateways.pool(table_prefix="app") as pool:
        assert pool.locate(TABLE, "a") == gateways.addresses[2]
        with pool.connection(TABLE, "a") as connection:
            assert gateways.number(connection) == 2 and connection.table(TABLE).name == b"app_t"
        with pool.connection(TABLE, "a", table_prefix="x", table_prefix_separator="-") as connection:
            assert gateways.number(connection) == 1 and connection.table(TABLE).name == b"x-t"
            with pool.table(TABLE, "a") as nested:
                assert nested.name == b"x-t", "a nested block has the outer one's"
        with pool.table(TABLE, "a") as table:
            assert table.name == b"app_t"
        c = pool.get_connection(table_prefix="x", table_prefix_separator="-", table=TABLE, row="a")
        assert gateways.number(c) == 1 and c.table(TABLE).name == b"x-t"
        pool.checkin(c)


def test_a_nested_block_at_another_gateway_has_the_outer_prefix(gateways: Gateways) -> None:
    with gateways.pool() as pool:
        with pool.connection() as connection:
            connection.create_table("app_t", {"f": {}})
        gateways.servers[0].move_region("app_t", "a", "127.0.0.3")
        with pool.connection(TABLE, "h", table_prefix="x"), pool.connection(TABLE, "a", table_prefix="app") as inner:
            assert gateways.number(inner) == 2 and inner.table(TABLE).name == b"app_t"
            with pool.table(TABLE, "a") as table:
                assert table.name == b"app_t" and gateways.number(table.connection) == 2
        with pool.connection(TABLE, "a") as connection:
            assert connection.table(TABLE).name == TABLE.encode()


# Leases


def test_a_lease_ends_like_any_other(gateways: Gateways) -> None:
    with gateways.pool() as pool:
        lease = pool.connection(TABLE, "a")
        assert lease.connection is None and not lease.discarded and "not entered" in repr(lease)
        with lease as connection:
            assert lease.connection is connection and "held" in repr(lease)
            lease.discard()
        assert lease.discarded and lease.connection is None
        assert pool.stats().closed["discarded"] == 1
        with pytest.raises(fastpool.LeaseError), lease:
            raise AssertionError("it was entered twice")
        with pytest.raises(KeyError, match="mine"), pool.connection(TABLE, "a"):
            raise KeyError("mine")
        with pytest.raises(fastpool.LeaseError):
            connection.tables()
        stats = pool.stats()
        assert (stats.leased, stats.checkouts, stats.checkins) == (0, 2, 2)


def test_a_decorator_leases_for_each_call(gateways: Gateways) -> None:
    with gateways.pool() as pool:

        @pool.connection(TABLE, "h")
        def leased() -> Any:
            return [(lease.server, lease.depth) for lease in pool.leases()]

        assert leased() == leased() == [(gateways.addresses[1], 1)]
        assert pool.leases() == []


def test_by_hand(gateways: Gateways) -> None:
    with gateways.pool(1) as pool:
        for _ in range(10):
            c = pool.checkout(table=TABLE, row="h")
            assert gateways.number(c) == 1
            pool.checkin(c)
            with pytest.raises(fastpool.LeaseError):
                pool.checkin(c)
        with pytest.raises(fastpool.LeaseError):
            pool.checkin(object())  # type: ignore[arg-type]
        every = [pool.get_connection(block=False) for _ in range(3)]
        assert {gateways.number(c) for c in every} == {0, 1, 2}
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.get_connection(block=False)
        with ThreadPoolExecutor(1) as other_thread:
            for c in every:
                other_thread.submit(pool.checkin, c, discard=True).result(WITHIN_S)
        assert pool.stats().closed["discarded"] == 3
        with held(pool, "a", 1), held(pool, "h", 1), held(pool, "q", 1):
            assert pool.stats().leased == 3, "no permit was lost"


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"gateways": []}, ValueError, "gateways"),
        ({"gateways": "127.0.0.1:9090"}, TypeError, "gateways"),
        ({"gateways": [("127.0.0.1", "x")]}, TypeError, "gateways"),
        ({"gateways": [("h", 1), "h:1"]}, ValueError, "gateways"),
        ({"refresh": 0}, ValueError, "refresh"),
        ({"refresh": "often"}, TypeError, "refresh"),
        ({"size": 0}, ValueError, "size"),
        ({"size": "2"}, TypeError, "size"),
        ({"size": 40000}, ValueError, "max_size"),
        ({"host": "h"}, TypeError, "host"),
        ({"port": 1}, TypeError, "port"),
        ({"servers": ["h:1"]}, TypeError, "servers"),
        ({"min_size": 9}, ValueError, "min_size"),
        ({"transport": "x"}, ValueError, "transport"),
        ({"nonsense": 1}, TypeError, "nonsense"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], word: str) -> None:
    given: dict[str, Any] = {"size": 2, "gateways": ["127.0.0.1:1", "127.0.0.2:1"], "open": False} | arguments
    with pytest.raises(error, match=word):
        RegionPool(**given)


def test_bad_arguments_of_a_checkout(gateways: Gateways) -> None:
    with gateways.pool() as pool:
        with pytest.raises(ValueError, match="row='a' needs its table"):
            pool.connection(row="a")
        with pytest.raises(TypeError, match="table must be"):
            pool.connection(1, "a")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="row must be"):
            pool.connection(TABLE, 7)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="locate"):
            pool.locate(TABLE, None)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="timeout"), pool.connection(TABLE, "a", timeout=-1):
            raise AssertionError("a time below zero")
        with pytest.raises(TypeError, match="table_prefix"):
            pool.connection(TABLE, "a", table_prefix=1)  # type: ignore[arg-type]
