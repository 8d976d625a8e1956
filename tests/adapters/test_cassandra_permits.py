"""SessionPool: who has a permit, and until when; with a session that answers when the test says so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("cassandra", reason="cassandra-driver is not installed")
import cassandra
import cassandra.pool

import fastpool
from fastpool.adapters.cassandra import NoConnectionsAvailable, PoolDeadlock, SessionPool
from tests.concurrency._told import eventually, soon

from ._cassandra_session import PATIENCE, Session

ANSWER = [("row",)]


@pytest.fixture
def session() -> Session:
    return Session()


def until(condition: Callable[[], bool]) -> None:
    assert eventually(condition, PATIENCE)


async def auntil(condition: Callable[[], bool]) -> None:
    assert await soon(condition, PATIENCE)


def in_threads(*calls: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    return threads


def ended(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_lease_gives_the_session(session: Session) -> None:
    session.cluster.at_once = True
    with SessionPool(session) as pool:
        with pool.session() as leased:
            assert leased.execute("q", ("p",)) == [("q", ("p",))]
            assert leased.cluster is session.cluster and leased.default_timeout == 10.0
        assert pool.stats().checkouts == pool.stats().checkins == 1


def test_an_awaited_execute_gives_the_drivers_result(session: Session) -> None:
    async def main() -> None:
        async with SessionPool(session) as pool:
            waits = asyncio.ensure_future(pool.execute("q", ("p",)))
            await auntil(lambda: len(session.sent) == 1)
            assert pool.stats().leased == 1
            threading.Thread(target=session.sent[0].answer, args=(ANSWER,)).start()
            assert await waits is ANSWER
            assert pool.stats().leased == 0

    asyncio.run(main())


def test_never_more_than_so_many_whoever_asks(session: Session) -> None:
    """Threads and tasks; the fake counts what it was given and has not answered."""
    pool = SessionPool(session, max_concurrent=4)

    def answers() -> None:
        for number in range(260):
            session.await_sent(number + 1)[number].answer(ANSWER)

    def thread() -> None:
        for _ in range(10):
            with pool.session() as leased:
                leased.execute("q")

    async def tasks() -> None:
        await asyncio.gather(*(pool.execute("q") for _ in range(100)))

    (server,) = in_threads(answers)
    threads = in_threads(*[thread] * 16, lambda: asyncio.run(tasks()))
    ended(*threads)
    ended(server)
    assert len(session.sent) == 260 and session.most == 4
    assert pool.stats().leased == 0
    pool.close()


def test_first_come_first_served_across_threads_and_tasks(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1)
    order: list[int] = []

    def thread(number: int) -> None:
        with pool.session():
            order.append(number)

    async def main() -> None:
        async def task(number: int) -> None:
            async with pool.asession():
                order.append(number)

        held = pool.checkout()
        waiting: list[Any] = []
        for number in range(10):
            waiting += [asyncio.ensure_future(task(number))] if number % 2 else in_threads(lambda n=number: thread(n))
            await auntil(lambda n=number: pool.stats().waiting == n + 1)
        pool.checkin(held)
        await asyncio.gather(*waiting[1::2])
        ended(*waiting[::2])

    asyncio.run(main())
    assert order == list(range(10))
    pool.close()


def test_32768_at_once_and_not_one_more(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=32768)
    held = [pool.checkout() for _ in range(32768)]
    with pytest.raises(NoConnectionsAvailable):
        pool.checkout(timeout=0)
    for leased in held:
        pool.checkin(leased)
    assert pool.stats().idle == 32768
    pool.close()


# ---- until when ----------------------------------------------------------------------------------------------------


def test_a_cancelled_task_leaves_the_permit_to_its_request(session: Session) -> None:
    async def main() -> None:
        pool = SessionPool(session, max_concurrent=1)
        task = asyncio.ensure_future(pool.execute("slow"))
        await auntil(lambda: len(session.sent) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert pool.stats().leased == 1, "the driver still waits for the answer"
        with pytest.raises(NoConnectionsAvailable):
            await pool.execute("other", timeout=0)
        waits = asyncio.ensure_future(pool.execute("other"))
        await auntil(lambda: pool.stats().waiting == 1)
        in_threads(lambda: session.sent[0].answer(ANSWER))
        await auntil(lambda: len(session.sent) == 2)
        session.sent[1].answer(ANSWER)
        assert await waits is ANSWER
        assert pool.stats().leased == 0 and session.most == 1
        pool.close()

    asyncio.run(main())


def test_cancelled_in_line(session: Session) -> None:
    async def main() -> None:
        pool = SessionPool(session, max_concurrent=1)
        held = pool.checkout()
        task = asyncio.ensure_future(pool.execute("q"))
        await auntil(lambda: pool.stats().waiting == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pool.checkin(held)
        assert session.sent == [] and pool.stats().idle == 1
        pool.close()

    asyncio.run(main())


def test_a_block_may_end_before_its_requests(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1)
    with pool.session() as leased:
        leased.execute_async("one")
        leased.execute_async("two")
    session.sent[0].answer(ANSWER)
    assert pool.stats().leased == 1, "the second one runs"
    session.sent[1].fail(cassandra.OperationTimedOut())
    assert pool.stats().idle == 1
    with pool.session(timeout=0):
        pass
    pool.close()


def test_a_request_after_the_block_is_no_deadlock(session: Session) -> None:
    """This thread's permit runs on without it: somebody else will end it, so waiting is no use of its own."""
    pool = SessionPool(session, max_concurrent=1)
    with pool.session() as leased:
        leased.execute_async("one")
    timer = threading.Timer(0.1, session.sent[0].answer)
    timer.start()
    with pool.session() as leased:
        assert leased is not None
    ended(timer)
    pool.close()


def test_an_owner_that_waits_for_itself_is_told(session: Session) -> None:
    with SessionPool(session, max_concurrent=1) as pool, pool.session():
        with pytest.raises(PoolDeadlock) as told, pool.session():
            pass
        assert isinstance(told.value, fastpool.PoolDeadlock) and isinstance(told.value, NoConnectionsAvailable)


@pytest.mark.parametrize("way", ["thread", "task", "by hand"])
def test_a_driver_that_refuses_to_send(session: Session, way: str) -> None:
    session.refuses = ValueError("bad query")
    pool = SessionPool(session, max_concurrent=1)
    with pytest.raises(ValueError, match="bad query"):
        if way == "task":
            asyncio.run(pool.execute("q"))
        elif way == "thread":
            with pool.session() as leased:
                leased.execute("q")
        else:
            leased = pool.checkout()
            try:
                leased.execute("q")
            finally:
                pool.checkin(leased)
    assert pool.stats().idle == 1
    pool.close()


def test_the_callers_error_is_what_it_sees_and_costs_nothing(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1)
    with pytest.raises(KeyboardInterrupt), pool.session() as leased:
        leased.execute_async("q")
        raise KeyboardInterrupt
    assert pool.stats().leased == 1
    session.sent[0].answer(ANSWER)
    stats = pool.stats()
    assert (stats.idle, stats.connects) == (1, 1)
    pool.close()


def test_each_page_is_a_request(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1)
    pages: list[Any] = []
    with pool.session() as leased:
        future = leased.execute_async("q")

        def page(rows: Any) -> None:
            pages.append(rows)
            if len(pages) < 3:
                future.start_fetching_next_page()

        future.add_callbacks(page, pages.append)
        session.sent[0].answer("first")
        assert session.sent[0].pages == 2
    assert pool.stats().leased == 1, "the second page is on its way"
    with pytest.raises(fastpool.LeaseError):
        session.sent[0].answer("second")  # the callback asks for a third page, and its block has ended
    assert pages == ["first", "second"] and pool.stats().idle == 1
    pool.close()


def test_cleared_callbacks_are_the_users(session: Session) -> None:
    """async-cassandra clears a request's callbacks when it gives up; the driver goes on all the same."""
    pool = SessionPool(session, max_concurrent=1)
    with pool.session() as leased:
        future = leased.execute_async("q")
        future.clear_callbacks()
    assert pool.stats().leased == 1
    session.sent[0].answer(ANSWER)
    assert pool.stats().leased == 0
    pool.close()


def test_what_the_sessions_own_methods_send_counts(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1)
    with pool.session() as leased:
        leased.in_two("q")
    session.sent[0].answer()
    assert pool.stats().leased == 1
    session.sent[1].answer()
    assert pool.stats().leased == 0
    pool.close()


def test_a_nested_block_has_the_outers_permit(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1, nested=True)
    with pool.session():
        with pool.session() as inner:
            inner.execute_async("q")
        assert pool.stats().leased == 1
    assert pool.stats().leased == 1, "what the inner block has sent runs on"
    session.sent[0].answer()
    assert pool.stats().idle == 1
    pool.close()


def test_a_loop_that_was_closed_before_the_answer(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1)

    async def main() -> None:
        task = asyncio.ensure_future(pool.execute("q"))
        await auntil(lambda: len(session.sent) == 1)
        assert not task.done()  # the end of the loop cancels it

    asyncio.run(main())
    assert pool.stats().leased == 1
    session.sent[0].answer()
    assert pool.stats().idle == 1
    pool.close()


def test_several_loops(session: Session) -> None:
    session.cluster.at_once = True
    pool = SessionPool(session, max_concurrent=2)

    async def main() -> None:
        await asyncio.gather(*(pool.execute("q") for _ in range(50)))

    ended(*in_threads(*[lambda: asyncio.run(main())] * 3))
    assert len(session.sent) == 150 and pool.stats().idle == 2
    pool.close()


# ---- how long ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_pool", "of_lease", "of_request", "told"),
    [
        ({}, ..., ..., 10.0),  # the driver's own
        ({"timeout": 2}, ..., ..., 2.0),  # the pool's is shorter
        ({"timeout": None}, ..., ..., 10.0),
        ({}, 60, ..., 60.0),  # asked for: not the driver's
        ({}, None, ..., None),
        ({}, 0, ..., 10.0),  # no wait for a permit; the request has the driver's time
        ({}, 60, 5, 5.0),
        ({}, 4, 5, 4.0),
        ({}, ..., None, 30.0),
        ({}, None, None, None),
    ],
)
def test_what_a_request_may_take(
    session: Session, of_pool: dict[str, Any], of_lease: Any, of_request: Any, told: float | None
) -> None:
    session.cluster.at_once = True
    timeout = {} if of_request is ... else {"timeout": of_request}
    with SessionPool(session, **of_pool) as pool:
        with pool.session(of_lease) as leased:
            leased.execute("q", **timeout)
            leased.execute_async("q", **timeout)
    for future in session.sent:
        assert future.timeout == pytest.approx(told, abs=1) if told else future.timeout is None


def test_the_wait_is_taken_from_the_request(session: Session) -> None:
    pool = SessionPool(session, max_concurrent=1)
    held = pool.checkout()
    timer = threading.Timer(1.0, pool.checkin, (held,))
    timer.start()
    with pool.session(timeout=15) as leased:
        leased.execute_async("q")
    assert 5 < session.sent[0].timeout < 14.5
    session.sent[0].answer()
    ended(timer)
    pool.close()


def test_no_permit_in_time_is_the_drivers_error_too(session: Session) -> None:
    with SessionPool(session, max_concurrent=1, timeout=0.05, name="few") as pool:
        held = pool.checkout()
        for kind in (
            cassandra.OperationTimedOut,
            cassandra.pool.NoConnectionsAvailable,
            fastpool.NoConnectionsAvailable,
        ):
            with pytest.raises(kind, match="No permit for the Cassandra session within the timeout") as told:
                pool.checkout()
            assert type(told.value) is NoConnectionsAvailable and told.value.errors is None
            assert str(told.value).startswith("No permit for the Cassandra session within the timeout\n")
        with pytest.raises(NoConnectionsAvailable):
            asyncio.run(pool.execute("q"))
        pool.checkin(held)
