"""SessionPool: arguments, options, opening and closing; with a session that answers when the test says so."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")

import fastpool
from fastpool._keeper.keeper import keeper
from fastpool.adapters.cassandra import SessionPool
from fastpool.testing import VirtualClock

from ._cassandra_session import PATIENCE, Cluster, Session


@pytest.fixture
def session() -> Session:
    return Session(Cluster(at_once=True))


# ---- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, 32769])
def test_max_concurrent_out_of_range(session: Session, value: int) -> None:
    with pytest.raises(ValueError, match=f"max_concurrent must be from 1 to 32768, not {value}"):
        SessionPool(session, max_concurrent=value)


@pytest.mark.parametrize("value", ["10", 1.5, None, True])
def test_max_concurrent_that_is_no_integer(session: Session, value: Any) -> None:
    with pytest.raises(TypeError, match=f"max_concurrent must be an integer, not {value!r}"):
        SessionPool(session, max_concurrent=value)


@pytest.mark.parametrize("given", [None, 5, "127.0.0.1", Session, object()])
def test_neither_session_nor_cluster(given: Any) -> None:
    with pytest.raises(TypeError, match="session_or_cluster must be a session or a cluster of cassandra-driver"):
        SessionPool(given)


def test_a_cluster_whose_connect_is_awaited() -> None:
    class AsyncCluster:
        async def connect(self) -> None: ...

    with pytest.raises(TypeError, match=r"SessionPool\(await cluster.connect\(\)\)"):
        SessionPool(AsyncCluster())


def test_a_keyspace_that_is_no_text(session: Session) -> None:
    with pytest.raises(TypeError, match=r"keyspace must be a string or None, not 5 \(int\)"):
        SessionPool(session, 5)  # type: ignore[arg-type]


def test_options_that_mean_something_else_here(session: Session) -> None:
    with pytest.raises(TypeError, match="max_size is called max_concurrent"):
        SessionPool(session, max_size=5)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"servers=.*contact points"):
        SessionPool(session, servers=["h:1"])
    with pytest.raises(TypeError, match="unknown option 'max_waitin'; did you mean 'max_waiting'"):
        SessionPool(session, max_waitin=5)  # type: ignore[call-arg]


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
@pytest.mark.parametrize("way", ["session", "execute", "checkout"])
def test_a_bad_timeout(session: Session, timeout: Any, way: str) -> None:
    with SessionPool(session) as pool, pytest.raises((TypeError, ValueError), match=r"'?timeout'? must be"):
        if way == "session":
            with pool.session(timeout):
                pass
        elif way == "execute":
            asyncio.run(pool.execute("q", timeout=timeout))
        else:
            pool.checkout(timeout)
    assert pool.stats().leased == 0


def test_a_bad_timeout_of_a_request(session: Session) -> None:
    with SessionPool(session) as pool, pool.session() as leased:
        with pytest.raises(TypeError, match=r"timeout must be a number of seconds or None, not '5' \(str\)"):
            leased.execute("q", timeout="5")
    assert session.sent == []


def test_the_drivers_arguments_reach_it(session: Session) -> None:
    given = {"trace": True, "custom_payload": {"k": b"v"}, "execution_profile": "p", "paging_state": b"s", "host": "h"}

    async def main(pool: SessionPool) -> None:
        await pool.execute("q", ("a",), **given)
        async with pool.asession() as awaiting:
            await awaiting.execute("q", ("a",), None, *given.values())

    with SessionPool(session) as pool:
        with pool.session() as leased:
            leased.execute("q", ("a",), None, *given.values())
            leased.execute_async("q", ("a",), True, {"k": b"v"}, None, "p", b"s", "h")
            leased.execute("q", ("a",), **given)
        asyncio.run(main(pool))
    for future in session.sent:
        assert future.given | {"host": future.host} == given
    assert len(session.sent) == 5


# ---- leases --------------------------------------------------------------------------------------------------------


def test_use_after_the_lease(session: Session) -> None:
    with SessionPool(session, name="shop") as pool:
        with pool.session() as leased:
            pass
        for call in (leased.execute, leased.execute_async, leased.prepare):
            with pytest.raises(fastpool.LeaseError, match="this session's lease from pool 'shop' has ended"):
                call("q")
    assert session.sent == [] and repr(leased).startswith("<ended lease of <")


def test_use_after_a_tasks_lease(session: Session) -> None:
    async def main() -> None:
        async with SessionPool(session) as pool:
            async with pool.asession() as awaiting:
                assert await awaiting.prepare("q") == "prepared q"
            with pytest.raises(fastpool.LeaseError):
                await awaiting.execute("q")
            with pytest.raises(fastpool.LeaseError):
                await awaiting.prepare("q")

    asyncio.run(main())
    assert session.sent == []


def test_nobody_changes_the_session_for_all(session: Session) -> None:
    with SessionPool(session) as pool, pool.session() as leased:
        with pytest.raises(AttributeError, match="row_factory cannot be set on a leased session: all leases share one"):
            leased.row_factory = tuple


def test_a_lease_is_not_copied_half_way(session: Session) -> None:
    with SessionPool(session) as pool, pool.session() as leased:
        empty = type(leased).__new__(type(leased))
        with pytest.raises(AttributeError, match="_session"):
            empty.cluster  # not RecursionError: copy and pickle ask new objects for methods


def test_by_hand(session: Session) -> None:
    with SessionPool(session, max_concurrent=1) as pool, SessionPool(session) as other:
        leased = pool.checkout()
        assert leased.execute("q") == [("q", None)]
        with pytest.raises(fastpool.LeaseError, match="did not give out"):
            other.checkin(leased)
        with pytest.raises(fastpool.LeaseError, match="did not give out"):
            pool.checkin(session)  # type: ignore[arg-type]
        pool.checkin(leased)
        with pytest.raises(fastpool.LeaseError, match="already returned"):
            pool.checkin(leased)
        with pool.session(timeout=0):
            pass


def test_a_lease_is_good_for_one_block(session: Session) -> None:
    async def main() -> None:
        ablock = pool.asession()
        async with ablock:
            pass
        with pytest.raises(fastpool.LeaseError, match="good for one block"):
            await ablock.__aenter__()

    with SessionPool(session) as pool:
        block = pool.session()
        with pytest.raises(fastpool.LeaseError, match="has not begun"):
            block.__exit__(None, None, None)
        with block:
            pass
        with pytest.raises(fastpool.LeaseError, match="good for one block"):
            block.__enter__()
        asyncio.run(main())
    assert pool.stats().leased == 0


def test_as_a_decorator(session: Session) -> None:
    with SessionPool(session, max_concurrent=1) as pool:

        @pool.session(timeout=1)
        def leased() -> int:
            return pool.stats().leased

        @pool.asession()
        async def leased_task() -> int:
            return pool.stats().leased

        assert leased() == leased() == asyncio.run(leased_task()) == 1
        assert pool.stats().leased == 0


# ---- life ----------------------------------------------------------------------------------------------------------


def test_a_cluster_is_connected_by_the_constructor() -> None:
    cluster = Cluster(at_once=True)
    with SessionPool(cluster, "shop") as pool:
        assert [made.keyspace for made in cluster.sessions] == ["shop"]
        with pool.session() as one, pool.session() as two:
            assert one.cluster is two.cluster is cluster
        assert len(cluster.sessions) == 1
    assert cluster.sessions[0].is_shutdown


def test_a_cluster_that_cannot_be_reached() -> None:
    cluster = Cluster()
    cluster.refuses = OSError("nobody there")
    with pytest.raises(OSError, match="nobody there"):
        SessionPool(cluster)
    pool = SessionPool(cluster, open=False)
    with pytest.raises(OSError, match="nobody there"), pool.session():
        pass
    cluster.refuses = None
    with pool.session():
        pass
    pool.close()
    assert [made.is_shutdown for made in cluster.sessions] == [True]


def test_nothing_is_connected_before_it_is_needed() -> None:
    cluster = Cluster(at_once=True)
    pool = SessionPool(cluster, open=False)
    assert cluster.sessions == []

    async def main() -> None:
        await asyncio.gather(*(pool.execute("q") for _ in range(20)))

    asyncio.run(main())
    assert len(cluster.sessions) == 1, "whoever comes first connects, once"
    pool.close()


def test_a_session_that_was_given_stays_open(session: Session) -> None:
    with SessionPool(session, "shop"):
        assert session.keyspace == "shop"
    assert not session.is_shutdown


def test_the_session_ends_with_the_last_lease() -> None:
    cluster = Cluster()
    pool = SessionPool(cluster)
    with pool.session() as leased:
        pool.close()
        leased.execute_async("q")
    made = cluster.sessions[0]
    assert pool.closed and not made.is_shutdown, "a request runs"
    ends = threading.Event()
    made.shutdown = ends.set  # type: ignore[method-assign]
    made.sent[0].answer()
    assert ends.wait(PATIENCE)
    with pytest.raises(fastpool.PoolClosed), pool.session():
        pass
    for call in (pool.health, pool.warm, pool.monitor):
        with pytest.raises(fastpool.PoolClosed):
            call()
    pool.close()


def test_close_with_a_timeout_waits_and_then_ends_the_session() -> None:
    cluster = Cluster()
    pool = SessionPool(cluster)
    leased = pool.checkout()
    leased.execute_async("q")
    pool.close(timeout=0.05)
    assert cluster.sessions[0].is_shutdown
    pool.checkin(leased)
    cluster.sessions[0].sent[0].answer()
    assert len(pool) == 0


def test_closed_by_a_task_that_others_wait_for() -> None:
    cluster = Cluster(at_once=True)

    async def main() -> None:
        async with SessionPool(cluster, max_concurrent=1) as pool:
            entered, leave = asyncio.Event(), asyncio.Event()

            async def holds() -> None:
                async with pool.asession() as awaiting:
                    entered.set()
                    await leave.wait()
                    await awaiting.execute("q")

            task = asyncio.ensure_future(holds())
            await entered.wait()
            closing = asyncio.ensure_future(pool.aclose(timeout=PATIENCE))
            await asyncio.sleep(0.05)
            assert not closing.done() and not cluster.sessions[0].is_shutdown
            leave.set()
            await task
            await closing
            assert cluster.sessions[0].is_shutdown

    asyncio.run(main())


def test_it_does_not_travel(session: Session) -> None:
    with SessionPool(session, name="shop") as pool:
        with pytest.raises(TypeError, match="pool 'shop' cannot be pickled: its session belongs to this process"):
            pickle.dumps(pool)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_told(session: Session) -> None:
    pool = SessionPool(session)
    with pool.session():
        pass
    child = os.fork()
    if child == 0:
        said = 1
        try:
            with pool.session():
                pass
        except fastpool.PoolError as error:
            said = 0 if "make the cluster and the pool after it" in str(error) else 2
        finally:
            os._exit(said)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pool.session():
        pass
    pool.close()


def test_the_library_is_imported_when_it_is_needed() -> None:
    code = "import sys, fastpool, fastpool.adapters\nprint('cassandra' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=PATIENCE)
    assert said.stdout == "False\n"


@pytest.mark.parametrize("who", ["a thread", "a task"])
def test_a_session_of_its_own_ends_although_a_checkout_replaced_a_permit(who: str) -> None:
    """The permit is past its lifetime, and the keeper has not been there yet."""
    cluster = Cluster(at_once=True)
    with VirtualClock() as clock:
        pool = SessionPool(cluster, max_concurrent=3, max_lifetime=10)
        keeper.forget(pool)
        with pool.session() as leased:
            leased.execute("q")
        clock.advance(20)
        if who == "a task":
            asyncio.run(pool.execute("q"))
        else:
            with pool.session() as leased:
                leased.execute("q")
        assert pool.stats().closed["lifetime"] == 1
        pool.close()
    assert cluster.sessions[0].is_shutdown
