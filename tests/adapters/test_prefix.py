"""A table prefix for one block, and a checkout by hand that may have one: issue #21's get_connection()."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.testing import HBaseServer

WITHIN_S = 20


@pytest.fixture
def pool(hbase: HBaseServer) -> Iterator[fastpool.ConnectionPool]:
    with fastpool.ConnectionPool(2, host=hbase.host, port=hbase.port, timeout=10_000) as pool:
        yield pool


def name_of(c: Any, table: str = "t") -> bytes:
    """The table's name on the server."""
    name: bytes = c.table(table).name
    return name


def test_for_this_block_only(pool: fastpool.ConnectionPool) -> None:
    with pool.connection(table_prefix=b"app") as c:
        assert name_of(c) == b"app_t"
        c.create_table("t", {"f": {}})
        c.table("t").put(b"r", {b"f:a": b"1"})
        assert c.tables() == [b"t"]
    with pool.connection() as again:
        assert again is c and again.table_prefix is None
        assert again.tables() == [b"app_t"]
        assert again.table("app_t").row(b"r") == {b"f:a": b"1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"table_prefix": b"app"}, b"app_t"),
        ({"table_prefix": "äpp"}, "äpp_t".encode()),
        ({"table_prefix": b"app", "table_prefix_separator": b":"}, b"app:t"),
        ({"table_prefix": "app", "table_prefix_separator": "::"}, b"app::t"),
        ({"table_prefix": b"app", "table_prefix_separator": b""}, b"appt"),
        ({"table_prefix": b""}, b"_t"),
        ({"table_prefix": None}, b"t"),
        ({"table_prefix": None, "table_prefix_separator": b":"}, b"t"),
        ({}, b"t"),
    ],
)
def test_prefix_and_separator(pool: fastpool.ConnectionPool, given: dict[str, Any], expected: bytes) -> None:
    with pool.connection(timeout=None, **given) as c:
        assert name_of(c) == expected
        assert c.table("t", use_prefix=False).name == b"t"
    c = pool.get_connection(**given)
    assert name_of(c) == expected
    pool.checkin(c)
    with pool.table("t", **given) as table:
        assert table.name == expected
    with pool.connection() as c:
        assert name_of(c) == b"t"


def test_nested_blocks(pool: fastpool.ConnectionPool) -> None:
    with pool.connection(table_prefix=b"a", table_prefix_separator=b"-") as outer:
        with pool.connection() as inner:
            assert inner is outer and name_of(inner) == b"a-t", "without a prefix it has the outer one's"
        with pool.connection(table_prefix=b"b") as inner:
            assert inner is outer and name_of(inner) == b"b_t", "with one, the default separator, not the outer one's"
            with pool.connection(table_prefix="c", table_prefix_separator="."):
                assert name_of(inner) == b"c.t"
            assert name_of(inner) == b"b_t"
        assert name_of(outer) == b"a-t", "the outer one's is back"
        with pytest.raises(ZeroDivisionError), pool.connection(table_prefix=b"d"):
            raise ZeroDivisionError
        assert name_of(outer) == b"a-t"
    with pool.connection() as c, pool.connection(table_prefix=b"a"):
        assert name_of(c) == b"a_t"
    assert c.table_prefix is None


def test_the_pools_own_prefix_is_replaced_and_comes_back(hbase: HBaseServer) -> None:
    options = {"table_prefix": "own", "table_prefix_separator": "/"}
    with fastpool.ConnectionPool(1, host=hbase.host, port=hbase.port, **options) as pool:  # type: ignore[arg-type]
        with pool.connection(table_prefix=b"app") as c:
            assert name_of(c) == b"app/t", "the default separator is the pool's"
        with pool.connection() as c:
            assert name_of(c) == b"own/t"


def test_blocks_that_do_not_end_in_order(pool: fastpool.ConnectionPool) -> None:
    outer, inner = pool.connection(table_prefix=b"a"), pool.connection(table_prefix=b"b")
    c = outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert name_of(c) == b"b_t"
    inner.__exit__(None, None, None)
    with pool.connection() as again:
        assert again is c and again.table_prefix is None


def test_blocks_of_several_threads(pool: fastpool.ConnectionPool) -> None:
    met = threading.Barrier(2, timeout=WITHIN_S)
    names: dict[bytes, list[bytes]] = {b"a": [], b"b": []}

    def use(prefix: bytes) -> None:
        for _ in range(20):
            with pool.connection(table_prefix=prefix) as c:
                met.wait()
                names[prefix].append(name_of(c))

    threads = [threading.Thread(target=use, args=(prefix,)) for prefix in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert names == {prefix: [prefix + b"_t"] * 20 for prefix in names}


# ---- however the lease ends, the next caller has the pool's own


def dropped_inside(pool: fastpool.ConnectionPool) -> None:
    lease = pool.connection(table_prefix=b"a")
    lease.__enter__()


def returned_inside(pool: fastpool.ConnectionPool) -> None:
    with pool.connection(table_prefix=b"a"):
        pool.clear()


def broken_inside(pool: fastpool.ConnectionPool) -> None:
    with contextlib.suppress(OSError), pool.connection(table_prefix=b"a") as c:
        c.close()
        raise OSError


def discarded(pool: fastpool.ConnectionPool) -> None:
    lease = pool.connection(table_prefix=b"a")
    with lease as c:
        assert lease.connection is c and not lease.discarded
        lease.discard()
        assert lease.discarded
    assert lease.connection is None


def by_hand(pool: fastpool.ConnectionPool) -> None:
    pool.checkin(pool.get_connection(table_prefix=b"a"))


def by_hand_and_discarded(pool: fastpool.ConnectionPool) -> None:
    pool.checkin(pool.get_connection(table_prefix=b"a"), discard=True)


def with_an_open_scanner(pool: fastpool.ConnectionPool) -> None:
    with pool.connection(table_prefix=b"a") as c:
        c.create_table("t", {"f": {}})
        for row in range(3):
            c.table("t").put(b"%d" % row, {b"f:a": b"1"})
        next(c.table("t").scan(batch_size=1))


WAYS = [
    dropped_inside,
    returned_inside,
    broken_inside,
    discarded,
    by_hand,
    by_hand_and_discarded,
    with_an_open_scanner,
]


@pytest.mark.parametrize("way", WAYS)
def test_the_next_caller_has_the_pools_own(hbase: HBaseServer, way: Any) -> None:
    with fastpool.ConnectionPool(1, host=hbase.host, port=hbase.port, timeout=10_000) as pool:
        way(pool)
        with pool.connection(timeout=WITHIN_S) as c:
            assert name_of(c) == b"t"
            c.tables()
        assert pool.stats().leased == 0


def test_a_prefix_costs_no_reconnect(pool: fastpool.ConnectionPool) -> None:
    for _ in range(3):
        with contextlib.suppress(LookupError), pool.connection(table_prefix=b"a") as c:
            c.tables()
            raise LookupError
        pool.checkin(pool.get_connection(table_prefix=b"a"))
    assert pool.stats().connects == 1


def test_an_inner_block_that_breaks_the_connection_leaves_the_outer_one_its_prefix(hbase: HBaseServer) -> None:
    with fastpool.ConnectionPool(1, host=hbase.host, port=hbase.port, timeout=10_000) as pool:
        with pool.connection(table_prefix=b"a") as c:
            c.tables()
            with pytest.raises((TTransportException, OSError)), pool.connection(table_prefix=b"b"):
                hbase.drop_connections()
                c.tables()
            c.create_table("t", {"f": {}})
            assert c.tables() == [b"t"]
        with pool.connection() as c:
            assert c.tables() == [b"a_t"]
        assert pool.stats().connects == 1, "under one lease it is opened anew, which is no new connection of the pool"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_has_the_pools_own(pool: fastpool.ConnectionPool) -> None:
    with pool.connection(table_prefix=b"a") as c:
        pid = os.fork()
        if pid == 0:
            with pool.connection() as mine:
                os._exit(0 if mine is not c and name_of(mine) == b"t" else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert name_of(c) == b"a_t"


# ---- arguments


@pytest.mark.parametrize("name", ["table_prefix", "table_prefix_separator"])
@pytest.mark.parametrize("value", [3, ["a"], object])
def test_what_is_no_string(pool: fastpool.ConnectionPool, name: str, value: Any) -> None:
    for call in (pool.connection, pool.get_connection, lambda **kwargs: pool.table("t", **kwargs)):
        with pytest.raises(TypeError, match=f"'{name}' must be a string, not ") as raised:
            call(**{name: value})
        assert repr(value) in str(raised.value)
    assert pool.stats().leased == 0


def test_other_pools_take_no_prefix() -> None:
    with fastpool.Pool(dict) as pool, pytest.raises(TypeError):
        pool.connection(table_prefix=b"a")  # type: ignore[call-arg]


def test_as_a_decorator(pool: fastpool.ConnectionPool) -> None:
    @pool.connection(table_prefix=b"app", timeout=WITHIN_S)
    def name() -> bytes:
        with pool.connection() as c:
            return name_of(c)

    assert [name(), name()] == [b"app_t"] * 2
    assert pool.stats().leased == 0


def test_a_lease_is_good_for_one_block(pool: fastpool.ConnectionPool) -> None:
    lease = pool.connection(table_prefix=b"a")
    with lease:
        pass
    with pytest.raises(fastpool.LeaseError), lease:
        pass


def test_a_bad_timeout_raises_when_the_block_begins(pool: fastpool.ConnectionPool) -> None:
    lease = pool.connection(timeout=-1, table_prefix=b"a")
    with pytest.raises(ValueError, match=r"non-negative|>= 0"), lease:
        pass


# ---- get_connection


def test_by_hand(pool: fastpool.ConnectionPool) -> None:
    c = pool.get_connection()
    other = pool.get_connection(table_prefix=b"a")
    assert c is not other and name_of(c) == b"t" and name_of(other) == b"a_t"
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.get_connection(timeout=0.01)
    for one in (c, other):
        pool.checkin(one)
    with pytest.raises(fastpool.LeaseError):
        pool.checkin(c)


def test_without_blocking_it_connects_where_there_is_room_and_raises_at_once_where_there_is_none(
    pool: fastpool.ConnectionPool,
) -> None:
    held = [pool.get_connection(block=False), pool.get_connection(block=False, timeout=None)]
    assert pool.stats().connects == 2 and all(c.tables() == [] for c in held)
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.get_connection(block=False, timeout=WITHIN_S)
    assert pool.stats().waits == 0, "nobody stood in line"
    for c in held:
        pool.checkin(c)


def test_with_blocking_it_waits(pool: fastpool.ConnectionPool) -> None:
    held = [pool.get_connection() for _ in range(2)]
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(pool.get_connection(block=True, timeout=None)))
    thread.start()
    while not pool.stats().waiting:
        thread.join(0.005)
        assert thread.is_alive()
    pool.checkin(held[0])
    thread.join(WITHIN_S)
    assert got == held[:1]
    for c in held:
        pool.checkin(c)


def test_the_pools_own_limit_holds_where_none_is_given(hbase: HBaseServer) -> None:
    with fastpool.ConnectionPool(1, host=hbase.host, port=hbase.port, checkout_timeout=0.01) as pool:
        with pool.connection(), pytest.raises(fastpool.NoConnectionsAvailable):
            pool.get_connection()


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"block": 1}, TypeError, r"block must be True or False, not 1 \(int\)"),
        ({"block": None}, TypeError, "block must be True or False, not None"),
        ({"timeout": "1"}, TypeError, "'timeout' must be a number of seconds or None, not '1'"),
        ({"timeout": -1}, ValueError, "'timeout' must be a non-negative number of seconds or None, not -1"),
        ({"block": False, "timeout": -1}, ValueError, "'timeout' must be a non-negative number"),
    ],
)
def test_bad_arguments_of_get_connection(
    pool: fastpool.ConnectionPool, given: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        pool.get_connection(**given)
