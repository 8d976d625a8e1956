"""The drop-in for DBUtils' PooledDB under several callers: waiting, sharing, closing."""

from __future__ import annotations

import os
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import fastpool
from fastpool.adapters import dbutils as ours
from fastpool.adapters.dbutils import InvalidConnectionError, PooledDB, TooManyConnectionsError
from fastpool.testing.virtual_clock import VirtualClock
from tests.pool.fake_driver import PATIENCE, until
from tests.process._scripts import ROOT
from tests.process._scripts import run as run_program

from . import _dbapi as db
from ._dbapi import Thread


@pytest.fixture(autouse=True)
def nothing_made() -> Iterator[None]:
    yield from db.fresh()


def run(program: str) -> None:
    """Run a program in a Python of its own, which finds the tests."""
    run_program(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + textwrap.dedent(program))


# ---- waiting


def test_without_blocking_the_error_says_who_holds_what() -> None:
    with PooledDB(db, maxconnections=1) as pool, pool.connection():
        with pytest.raises(TooManyConnectionsError, match="held for") as caught:
            pool.connection()
        assert len(caught.value.holders) == 1
        with pytest.raises(TooManyConnectionsError):
            pool.connection(timeout=0.01)


@pytest.mark.parametrize("maxshared", [0, 1])
def test_a_time_limit_is_waited_for(maxshared: int) -> None:
    with PooledDB(db, maxshared=maxshared, maxconnections=1, timeout=0.05) as pool, pool.connection(False):
        with pytest.raises(TooManyConnectionsError) as caught:
            pool.connection()
        assert caught.value.waited >= 0.05


def test_waiters_are_served_in_order() -> None:
    with PooledDB(db, maxconnections=1, blocking=True) as pool:
        held, order, threads = pool.connection(), [], []
        for number in range(3):

            def wait(number: int = number) -> None:
                with pool.connection():
                    order.append(number)

            threads.append(Thread(wait))
            until(lambda number=number: pool.stats().waiting == number + 1)
        held.close()
        for thread in threads:
            thread.ended()
        assert order == [0, 1, 2]


def test_too_many_waiters_are_refused_at_once() -> None:
    with PooledDB(db, maxconnections=1, blocking=True, max_waiting=0) as pool, pool.connection():
        with pytest.raises(TooManyConnectionsError) as caught:
            pool.connection()
        assert isinstance(caught.value, fastpool.PoolOverloaded)


# ---- sharing


def test_sharing_never_opens_more_than_maxconnections() -> None:
    """DBUtils 3.2 opens another one here."""
    with PooledDB(db, maxshared=3, maxconnections=3) as pool:
        shared, one, two = pool.connection(), pool.connection(False), pool.connection(False)
        other = pool.connection()
        assert other.dbapi_connection is shared.dbapi_connection
        assert len(db.made) == 3 and one.dbapi_connection is not two.dbapi_connection


@pytest.mark.parametrize("end", ["commit", "rollback", "cancel", "close"])
def test_the_end_of_a_transaction_lets_a_waiter_share(end: str) -> None:
    with PooledDB(db, maxshared=1, blocking=True) as pool:
        first = pool.connection()
        first.begin()
        waiter = Thread(pool.connection)
        until(lambda: pool._sharing._waiters.value)
        getattr(first, end)()
        assert waiter.ended().dbapi_connection is db.made[0]


def test_a_shared_connection_goes_back_with_its_last_user() -> None:
    with PooledDB(db, maxshared=1) as pool:
        one, two = pool.connection(), pool.connection()
        one.close()
        one.close()
        assert "rollback" not in db.made[0].said and pool.stats().leased == 1
        two.close()
        assert db.made[0].said[-1] == "rollback" and pool.stats().idle == 1


def test_crowds_share_and_leave() -> None:
    with PooledDB(db, maxcached=3, maxshared=3, maxconnections=4, blocking=True) as pool:

        def use() -> None:
            for turn in range(60):
                with pool.connection(shareable=turn % 3 > 0) as con:
                    if turn % 5 == 0:
                        con.begin()
                    con.cursor().execute("x")

        for thread in [Thread(use) for _ in range(8)]:
            assert thread.ended() is None
        assert pool.stats().leased == 0 and len(pool) <= 4 and pool._shared_cache == []


def test_a_lost_connection_is_opened_anew_for_all_that_share_it() -> None:
    with PooledDB(db, maxshared=1) as pool, pool.connection() as one:
        db.made[0].lost = True
        with pool.connection() as two:
            assert one.dbapi_connection is two.dbapi_connection is db.made[1]
        db.made[1].lost = True
        db.refuses[:] = [db.OperationalError("away")]
        with pytest.raises(db.OperationalError, match="away"):
            pool.connection()
        assert pool._shared_cache[0].shared == 1


def test_nobody_joins_a_connection_that_is_too_old_or_was_cleared() -> None:
    with VirtualClock() as clock, PooledDB(db, maxshared=2, max_lifetime=10) as pool, pool.connection() as old:
        with pool.connection() as other:
            clock.advance(6)
            with pool.connection() as third:
                assert third.dbapi_connection in (old.dbapi_connection, other.dbapi_connection)
            clock.advance(5)
            with pytest.raises(TooManyConnectionsError):
                pool.connection()
        with pool.connection() as fresh, pool.connection() as joined:
            assert fresh.dbapi_connection is joined.dbapi_connection is db.made[2]
            pool.clear()
            with pool.connection() as cleared:
                assert cleared.dbapi_connection is db.made[3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_shares_nothing_of_its_parents() -> None:
    run(
        """
        import os
        from tests.adapters import _dbapi as db
        from fastpool.adapters.dbutils import PooledDB

        with PooledDB(db, maxshared=1) as pool:
            parents = pool.connection()
            child = os.fork()
            own = pool.connection()
            if not child:
                assert own.dbapi_connection is not parents.dbapi_connection
                with pool.connection() as again:
                    assert again.dbapi_connection is own.dbapi_connection
                said = list(db.made[0].said)
                parents.close()
                assert db.made[0].said == said and not db.made[0].over
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert own.dbapi_connection is parents.dbapi_connection
        """
    )


def test_a_greenlet_waits_for_a_shared_connection_without_stopping_the_others() -> None:
    pytest.importorskip("gevent")
    run(
        """
        import gevent
        from tests.adapters import _dbapi as db
        from fastpool.adapters.dbutils import PooledDB

        with PooledDB(db, maxshared=1, blocking=True) as pool:
            first = pool.connection()
            first.begin()
            waiter = gevent.spawn(pool.connection)
            while not pool._sharing._waiters.value:
                gevent.sleep(0.001)
            gevent.sleep(0.02)  # would never end if the waiter slept on a lock
            first.commit()
            assert waiter.get(timeout=20).dbapi_connection is first.dbapi_connection
        """
    )


def test_dbutils_need_not_be_installed() -> None:
    run(
        """
        import sys
        sys.modules["dbutils"] = None
        from tests.adapters import _dbapi as db
        import fastpool
        from fastpool.adapters.dbutils import PooledDB, TooManyConnectionsError

        with PooledDB(db, 1, maxconnections=1) as pool, pool.connection() as con:
            con.cursor().execute("x")
            assert pool.version == fastpool.__version__
            try:
                pool.connection()
            except TooManyConnectionsError:
                sys.exit(0)
        sys.exit("no error")
        """
    )


# ---- closing


def test_close_waits_for_nobody() -> None:
    """DBUtils closes shared connections under their users, and a closed pool goes on."""
    pool = PooledDB(db, 3, maxshared=1)
    shared, own = pool.connection(), pool.connection(False)
    pool.close()
    assert [con.over for con in db.made] == [False, False, True]
    shared.cursor().execute("x")
    shared.close()
    own.close()
    assert all(con.over for con in db.made)
    for shareable in (True, False):
        with pytest.raises(fastpool.PoolClosed) as caught:
            pool.connection(shareable)
        assert isinstance(caught.value, ours.PooledDBError)


def test_a_waiter_of_a_pool_that_closes_is_told() -> None:
    pool = PooledDB(db, maxconnections=1, blocking=True)
    held = pool.connection()
    waiter = Thread(pool.connection)
    until(lambda: pool.stats().waiting == 1)
    pool.close()
    assert isinstance(waiter.ended(), InvalidConnectionError)
    held.close()


def test_any_thread_may_close_a_connection() -> None:
    with PooledDB(db, maxconnections=1) as pool:
        con = pool.connection()
        Thread(con.close).ended()
        with pool.connection():
            assert len(db.made) == 1


# ---- no lock


def test_a_connect_that_hangs_holds_up_nobody() -> None:
    """In DBUtils all others wait for it, also those that only return a connection."""
    connecting, go = threading.Event(), threading.Event()

    def connect() -> Any:
        if db.made:
            connecting.set()
            assert go.wait(PATIENCE)
        return db.connect()

    connect.threadsafety = 2  # type: ignore[attr-defined]
    with PooledDB(connect, maxshared=1) as pool:
        first = pool.connection(False)
        slow = Thread(lambda: pool.connection(False))
        assert connecting.wait(PATIENCE)
        first.close()
        with pool.connection() as shared, pool.connection() as same:
            assert shared.dbapi_connection is same.dbapi_connection is db.made[0]
        go.set()
        assert slow.ended().dbapi_connection is db.made[1]
