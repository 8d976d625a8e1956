"""psycopg_pool's drop-ins beside a real server: opening and closing, sizes, limits, figures, null pools."""

from __future__ import annotations

import contextlib
import gc
import pickle
import threading
import weakref
from typing import Any

import psycopg
import pytest

from fastpool import NoConnectionsAvailable, PoolDeadlock, PoolOverloaded
from fastpool import PoolClosed as OurPoolClosed
from fastpool.adapters import psycopg as adapter
from fastpool.adapters.psycopg import PoolClosed, PoolTimeout, TooManyRequests

from ._both import Tasks, Threads, in_thread, until

# ---- life


def test_defaults(way: Any) -> None:
    pool = way.kept(open=False)
    assert (pool.min_size, pool.max_size, pool.timeout, pool.max_waiting) == (4, 4, 30.0, 0)
    assert (pool.max_idle, pool.max_lifetime, pool.reconnect_timeout, pool.num_workers) == (600.0, 3600.0, 300.0, 3)
    null = way.null(open=False)
    assert (null.min_size, null.max_size) == (0, 0)


def test_pool_that_is_not_open_refuses(way: Any, dsn: str) -> None:
    pool = way.kept(dsn, min_size=1, open=False)
    assert pool.closed
    for _ in range(2):
        with pytest.raises(PoolClosed, match="is not open yet"):
            way.run(pool.getconn())
        with pytest.raises(PoolClosed, match="is not open yet"):
            pool.connection()
    way.run(pool.close())
    way.run(pool.open(wait=True))
    assert not pool.closed
    way.run(pool.open())
    way.run(pool.close())
    for call in (pool.getconn, pool.wait):
        with pytest.raises(PoolClosed, match="is already closed") as caught:
            way.run(call())
        assert isinstance(caught.value, OurPoolClosed)
        assert isinstance(caught.value, psycopg.OperationalError)
    with pytest.raises(PoolClosed, match="cannot be reused"):
        way.run(pool.open())


def test_open_by_default_warns_at_the_first_use(dsn: str) -> None:
    pool = Threads.kept(dsn, min_size=1)
    try:
        with pytest.warns(DeprecationWarning, match="ConnectionPool 'open' parameter will become 'False'") as warnings:
            pool.putconn(pool.getconn())
        assert [warning.filename for warning in warnings] == [__file__]
        pool.putconn(pool.getconn())  # and not again
    finally:
        pool.close()


def test_awaited_pool_is_not_to_be_opened_by_its_constructor(dsn: str) -> None:
    way = Tasks()

    async def make(**given: Any) -> Any:
        return way.kept(dsn, min_size=1, **given)

    with pytest.warns(RuntimeWarning, match="opening the async pool AsyncConnectionPool"):
        pool = way.run(make(open=True))
    way.run(pool.close())
    pool = way.run(make())
    with pytest.warns(RuntimeWarning, match="opening the async pool AsyncConnectionPool"):
        way.run(pool.wait())
    way.run(pool.close())
    with pytest.raises(RuntimeError, match="AsyncConnectionPool open with no running loop"):
        way.kept(dsn)
    way.end()


def test_close_ends_waits_and_closes_what_comes_back(way: Any, dsn: str) -> None:
    pool = way.kept(dsn, min_size=1, max_size=1, open=False)
    way.run(pool.open(wait=True))
    conn = way.run(pool.getconn())
    waiter = in_thread(lambda: way.run(pool.getconn()))
    until(lambda: len(pool._waiting) == 1)
    way.run(pool.close())
    with pytest.raises(PoolClosed):
        waiter.result(30)
    assert not conn.closed
    way.run(pool.putconn(conn))
    assert conn.closed


def test_dropped_pool_is_collected_without_a_warning(dsn: str) -> None:
    pool = Threads.kept(dsn, min_size=2, open=True)
    pool.wait()
    with pool.connection() as conn:
        conn.execute("select 1")
    reference = weakref.ref(pool)
    del pool, conn
    until(lambda: gc.collect() is not None and reference() is None)


def test_connection_that_somebody_keeps_does_not_keep_its_pool(dsn: str) -> None:
    pool = Threads.kept(dsn, min_size=2, open=True)
    with pool.connection() as in_a_block:
        by_hand = pool.getconn()
    pool.putconn(by_hand)
    reference = weakref.ref(pool)
    del pool
    until(lambda: gc.collect() is not None and reference() is None)
    assert (in_a_block._pool, by_hand._pool) == (None, None)
    for conn in (in_a_block, by_hand):
        conn.close()
        assert conn.closed


def test_bad_arguments(way: Any) -> None:
    for sizes in ({"min_size": -1}, {"min_size": 4, "max_size": 2}, {"min_size": 0}, {"min_size": 0, "max_size": 0}):
        with pytest.raises(ValueError, match="min_size"):
            way.kept(open=False, **sizes)
    for sizes in ({"min_size": 1}, {"max_size": -1}, {"min_size": -1}):
        with pytest.raises(ValueError, match=r"null pools|max_size"):
            way.null(open=False, **sizes)
    with pytest.raises(ValueError, match="num_workers"):
        way.kept(open=False, num_workers=0)
    with pytest.raises(TypeError, match=r"max_wating.*max_waiting"):
        way.kept(open=False, max_wating=3)


def test_settings_may_be_changed(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1) as pool:
        pool.conninfo = f"{dsn} application_name=changed"
        pool.kwargs = {"autocommit": True}
        way.run(pool.drain())
        with way.block(pool) as conn:
            assert conn.execute("show application_name") == [("changed",)]
            assert conn.conn.autocommit
            pool.timeout = 0.1
            with pytest.raises(PoolTimeout, match=r"couldn.t get a connection after 0\.1"):
                in_thread(lambda: way.run(pool.getconn())).result(20)  # its own thread would wait for itself
            pool.timeout, pool.max_waiting = 30.0, 1
            waiter = in_thread(lambda: way.run(pool.getconn()))
            until(lambda: len(pool._waiting) == 1)
            with pytest.raises(TooManyRequests):
                in_thread(lambda: way.run(pool.getconn())).result(20)
        way.run(pool.putconn(waiter.result(30)))
        pool.max_lifetime = 77.0
        assert (pool.timeout, pool.max_waiting, pool.max_lifetime) == (30.0, 1, 77.0)
        way.run(pool.drain())
        with way.block(pool) as conn:
            assert 77.0 * 0.9 <= conn.conn._expire_at - conn.conn._created_at <= 77.0
        pool.max_waiting = 0
        assert pool.max_waiting == 0


def test_errors_are_pickled() -> None:
    kinds = [kind for kind in vars(adapter).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert adapter.PoolDeadlock in kinds
    for kind in kinds:
        again = pickle.loads(pickle.dumps(kind("what happened")))
        assert (type(again), again.args) == (kind, ("what happened",))


# ---- limits


def test_timeout_and_line(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=1, max_waiting=1, name="narrow") as pool:
        way.run(pool.wait())
        conn = way.run(pool.getconn())
        with pytest.raises(PoolTimeout, match=r"couldn.t get a connection after \d") as late:
            way.run(pool.getconn(timeout=0.1))
        assert isinstance(late.value, NoConnectionsAvailable)
        waiter = in_thread(lambda: way.run(pool.getconn()))
        until(lambda: len(pool._waiting) == 1)
        with pytest.raises(TooManyRequests, match=r"narrow.*1") as full:
            way.run(pool.getconn())
        assert isinstance(full.value, PoolOverloaded)
        way.run(pool.putconn(conn))
        way.run(pool.putconn(waiter.result(30)))
        stats = pool.get_stats()
        assert (stats["requests_num"], stats["requests_errors"], stats["requests_queued"]) == (4, 2, 2)
        assert stats["requests_wait_ms"] >= 100


def test_circle_of_blocks_is_told_at_once(dsn: str) -> None:
    with Threads().opened(Threads.kept, dsn, min_size=1, max_size=1) as pool, pool.connection():
        with pytest.raises(PoolTimeout) as caught, pool.connection(timeout=50.0):
            pass
        assert isinstance(caught.value, PoolDeadlock)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_connections_are_used_in_turn(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=4) as pool:
        way.run(pool.wait())
        used = []
        for _ in range(8):
            with way.block(pool) as conn:
                used.append(conn.pid)
        assert len(set(used[:4])) == 4
        assert used[:4] == used[4:]


def test_pool_grows_while_callers_wait_and_shrinks_when_unused(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_size=3, max_idle=0.2) as pool:
        held = [way.run(pool.getconn()) for _ in range(3)]
        assert len(pool) == 3
        for conn in held:
            way.run(pool.putconn(conn))
        until(lambda: len(pool) == 1)
        with way.block(pool) as conn:
            assert conn.execute("select 1") == [(1,)]


def test_pool_that_is_used_does_not_shrink(dsn: str) -> None:
    with Threads().opened(Threads.kept, dsn, min_size=1, max_size=2, max_idle=0.1) as pool:
        held = [pool.getconn(), pool.getconn()]
        pool.putconn(held.pop())
        until(lambda: len(pool) == 1, 30)
        assert not held[0].closed
        pool.putconn(held.pop())


def test_resize(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_idle=0.1) as pool:
        way.run(pool.resize(4))
        assert (pool.min_size, pool.max_size) == (4, 4)
        until(lambda: pool.available == 4)
        with way.block(pool) as conn:
            way.run(pool.resize(1, 2))
            assert (pool.min_size, pool.max_size) == (1, 2)
            assert not conn.conn.closed
        until(lambda: len(pool) == 1)
        held = [way.run(pool.getconn()) for _ in range(2)]
        with pytest.raises(PoolTimeout):
            way.run(pool.getconn(timeout=0.1))
        for one in held:
            way.run(pool.putconn(one))
        with pytest.raises(ValueError, match="max_size"):
            way.run(pool.resize(4, 3))
        assert (pool.min_size, pool.max_size) == (1, 2)


def test_check_and_drain_replace(way: Any, dsn: str, warned: Any) -> None:
    with way.opened(way.kept, dsn, min_size=2) as pool:
        way.run(pool.wait())
        old = {conn.info.backend_pid for conn in pool._pool}
        way.run(pool.check())
        assert {conn.info.backend_pid for conn in pool._pool} == old
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [min(old)])
        way.run(pool.check())
        until(lambda: pool.available == 2)
        now = {conn.info.backend_pid for conn in pool._pool}
        assert old & now == {max(old)}
        assert [r.message.split(":")[0] for r in warned.records] == ["discarding broken connection"]
        with way.block(pool) as conn:
            way.run(pool.drain())
            until(lambda: pool.available >= 1)
            assert conn.execute("select 1") == [(1,)]
        until(lambda: pool.available == 2)
        assert not now & {conn.info.backend_pid for conn in pool._pool}


def test_old_connection_is_replaced(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=1, max_lifetime=0.3) as pool:
        with way.block(pool) as conn:
            pid = conn.pid
            assert conn.conn._expire_at > conn.conn._created_at
        until(lambda: [c.info.backend_pid for c in pool._pool] not in ([], [pid]))


def test_stats(way: Any, dsn: str) -> None:
    with way.opened(way.kept, dsn, min_size=2, max_size=4) as pool:
        way.run(pool.wait())
        with way.block(pool) as conn:
            conn.execute("select pg_sleep(0.2)")
            stats = pool.get_stats()
            assert (stats["pool_min"], stats["pool_max"], stats["pool_size"]) == (2, 4, 2)
            assert (stats["pool_available"], stats["requests_waiting"]) == (1, 0)
        with way.block(pool) as conn:
            conn.close()
        until(lambda: pool.available == 2)
        stats = pool.pop_stats()
        assert stats["usage_ms"] >= 180
        assert (stats["requests_num"], stats["returns_bad"], stats["connections_num"]) == (2, 1, 3)
        assert stats["connections_ms"] > 0
        with way.block(pool):
            pass
        assert pool.get_stats()["requests_num"] == 1
        assert pool.get_stats()["connections_num"] == 0


# ---- null pools


def test_null_pool_keeps_nothing(way: Any, dsn: str) -> None:
    with way.opened(way.null, dsn, max_size=2) as pool:
        with way.block(pool) as conn, way.block(pool) as other:
            pids = {conn.pid, other.pid}
            assert len(pids) == 2
        assert len(pool) == 0
        with way.block(pool) as conn:
            assert conn.pid not in pids
        way.run(pool.wait())
        way.run(pool.check())
        assert pool.get_stats()["connections_num"] == 4


@pytest.mark.parametrize("query", [None, "select 1"])
def test_block_of_an_awaited_null_pool_ends_after_its_connection_is_closed(dsn: str, query: str | None) -> None:
    way = Tasks()

    async def closed_at_the_end(pool: Any) -> bool:
        async with pool.connection() as conn:
            if query is not None:
                await conn.execute(query)
        return bool(conn.closed)

    with way.opened(way.null, dsn, max_size=2) as pool:
        assert way.run(closed_at_the_end(pool))
    way.end()


def test_null_pool_passes_a_connection_to_a_waiter_reset(way: Any, dsn: str) -> None:
    resets: list[int] = []
    reset = way.wrapped(lambda conn: resets.append(conn.pid))
    with way.opened(way.null, dsn, max_size=1, reset=reset) as pool:
        conn = way.run(pool.getconn())
        waiter = in_thread(lambda: way.run(pool.getconn()))
        until(lambda: len(pool._waiting) == 1)
        way.run(pool.putconn(conn))
        assert waiter.result(30) is conn
        assert resets == [conn.info.backend_pid]
        way.run(pool.putconn(conn))
        assert len(resets) == 1
        assert conn.closed


def test_null_pool_tells_why_it_cannot_connect(way: Any) -> None:
    with way.opened(way.null, "host=127.0.0.1 port=1 user=postgres", max_size=1) as pool:
        with pytest.raises(psycopg.OperationalError, match=r"port 1|refused") as caught:
            way.run(pool.getconn())
        assert not isinstance(caught.value, PoolTimeout)
        assert len(pool) == 0
    with pytest.raises(PoolTimeout), way.opened(way.null, "host=127.0.0.1 port=1 user=postgres") as pool:
        way.run(pool.wait(0.3))


def test_null_pool_resizes(way: Any, dsn: str) -> None:
    with way.opened(way.null, dsn, max_size=1) as pool:
        way.run(pool.resize(0, 2))
        with way.block(pool), way.block(pool):
            assert len(pool) == 2
        way.run(pool.resize(0))
        with contextlib.ExitStack() as blocks:
            for _ in range(4):
                blocks.enter_context(way.block(pool))
            assert len(pool) == 4


# ---- many


def test_many_threads_share_few_connections(dsn: str) -> None:
    done = []
    with Threads().opened(Threads.kept, dsn, min_size=1, max_size=4) as pool:

        def work() -> None:
            for _ in range(20):
                with pool.connection() as conn:
                    conn.execute("select 1")
                done.append(1)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(done) == 320
        assert len(pool) <= 4
        assert pool.available == len(pool)
