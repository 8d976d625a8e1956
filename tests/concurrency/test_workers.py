"""The threads in which a synchronous pool serves tasks: how many, what they hold, and that the loop's executor is
unused."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from typing import Any

import pytest

import fastpool
from fastpool._async import workers as _workers
from fastpool._async.worker_calls import Step
from fastpool._async.workers import Workers, staff_of

from ._told import Told, at_rest, eventually, soon


class Hanging:
    """A driver's call that hangs until it is freed, and counts the calls in progress."""

    def __init__(self, hangs: bool = True) -> None:
        self.free = threading.Event()
        if not hangs:
            self.free.set()
        self.calls: list[int] = []
        self.over: list[int] = []

    @property
    def under_way(self) -> int:
        return len(self.calls) - len(self.over)

    def __call__(self, *args: Any) -> bool:
        self.calls.append(1)
        try:
            assert self.free.wait(20), "held for too long"
        finally:
            self.over.append(1)
        return True


@pytest.fixture(autouse=True)
def free_workers_begin_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is called begins before the time limit of its task does.

    What has not begun by then is not begun at all, and on a machine under load a thread may take longer to start.
    """
    do = Workers.do

    def do_and_see_it_begin(self: Workers, job: Any) -> bool:
        called = do(self, job)
        if called and isinstance(job, Step):
            assert eventually(lambda: job._answers)
        return called

    monkeypatch.setattr(Workers, "do", do_and_see_it_begin)


def in_time(main: Any) -> None:
    asyncio.run(asyncio.wait_for(main(), 20))


async def phase_of(pool: fastpool.Pool, timeout: float) -> str:
    with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
        async with pool.aconnection(timeout=timeout):
            raise AssertionError
    return caught.value.phase


async def others_go_on() -> None:
    """The program's own work in the loop's executor is not delayed."""
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), 5) == 7
    await asyncio.wait_for(asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM), 5)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_connects_that_hang_are_as_many_as_may_connect_are_counted_and_are_kept(most: int) -> None:
    hanging, made = Hanging(), list[Told]()

    def connect() -> Told:
        hanging()
        made.append(Told())
        return made[-1]

    async def main() -> None:
        phases = await asyncio.gather(*(phase_of(pool, 0.1) for _ in range(24)))
        assert sorted(phases) == ["connect"] * most + ["wait"] * (24 - most)
        assert await soon(lambda: len(hanging.calls) == most)
        assert (pool.stats().connecting, len(pool)) == (most, 0)
        assert await phase_of(pool, 0.02) == "wait"
        await others_go_on()
        assert staff_of(pool).connecting.count == most
        late = asyncio.create_task(one())
        assert await soon(lambda: pool.stats().waiting == 1)
        hanging.free.set()
        c = await late
        assert c in made
        assert await soon(lambda: at_rest(pool) and pool.stats().idle == most)
        assert not any(c.closed for c in made)

    async def one() -> Told:
        async with pool.aconnection(timeout=10) as c:
            return c

    pool = fastpool.Pool(connect, max_size=24, max_connecting=most)
    in_time(main)
    assert pool.stats().connect_errors == 0 and pool.stats().connects == most
    pool.close()


def test_a_connect_that_fails_when_its_task_has_gone_leaves_room_and_is_counted() -> None:
    hanging = Hanging()

    def connect() -> Told:
        hanging()
        if len(hanging.calls) == 1:
            raise ConnectionRefusedError
        return Told()

    async def main() -> None:
        assert await phase_of(pool, 0.02) == "connect"
        assert (pool.stats().connecting, pool.stats().connect_errors) == (1, 0)
        hanging.free.set()
        assert await soon(lambda: pool.stats().connect_errors == 1 and pool.stats().connecting == 0)
        async with pool.aconnection(timeout=5):
            pass

    pool = fastpool.Pool(connect, max_size=1)
    in_time(main)
    pool.close()


@pytest.mark.parametrize("event", ["close", "clear"])
def test_a_connection_that_comes_late_to_a_pool_that_wants_it_no_more_is_closed(event: str) -> None:
    hanging, made = Hanging(), list[Told]()

    def connect() -> Told:
        hanging()
        made.append(Told())
        return made[-1]

    async def main() -> None:
        assert await phase_of(pool, 0.02) == "connect"
        getattr(pool, event)()
        hanging.free.set()
        assert await soon(lambda: bool(made) and made[0].closed)
        assert await soon(lambda: at_rest(pool)) and len(pool) == 0

    pool = fastpool.Pool(connect, max_size=1)
    in_time(main)
    pool.close()


def test_checks_share_those_threads_and_what_was_not_looked_at_is_not_blamed() -> None:
    checking = Hanging(hangs=False)
    pool = fastpool.Pool(Told, check=checking, check_after=0, max_size=8, max_connecting=2)
    pool.warm()

    async def main() -> None:
        checking.free.clear()
        phases = await asyncio.gather(*(phase_of(pool, 0.1) for _ in range(8)))
        assert phases == ["check"] * 8
        assert await soon(lambda: checking.under_way == 2)
        stats = pool.stats()
        assert stats.size == stats.idle == 8 and not any(stats.closed.values())
        await others_go_on()
        checking.free.set()
        held = [pool.aconnection() for _ in range(8)]
        for lease in held:
            await lease.__aenter__()
        for lease in held:
            await lease.__aexit__(None, None, None)

    in_time(main)
    assert not any(pool.stats().closed.values())
    pool.close()


def test_a_check_that_outlasts_its_limit_keeps_its_slot_and_its_task_goes_on_to_a_new_connection() -> None:
    checking = Hanging(hangs=False)
    pool = fastpool.Pool(Told, check=checking, check_after=0, check_timeout=0.05, max_size=4, max_connecting=2)
    pool.warm(3)

    async def main() -> None:
        # The last news of the other connections must be older than the question, by the coarse clock
        await asyncio.sleep(0.03)
        checking.free.clear()
        async with pool.aconnection(timeout=5):
            assert pool.stats().connects == 4
            stats = pool.stats()
            assert (stats.leased, stats.idle, stats.closed["dead"]) == (1, 1, 2), "the silent server's others go"
            assert await soon(lambda: checking.under_way == 1)
        checking.free.set()
        assert await soon(lambda: checking.under_way == 0)

    in_time(main)
    pool.close()


@pytest.mark.parametrize("options", [{}, {"reset": lambda c: None}, {"max_uses": 1}])
def test_at_most_four_closes_hang_and_delay_no_other_caller(options: dict[str, Any]) -> None:
    closing = Hanging()
    pool = fastpool.Pool(Told, close=closing, max_size=6, max_connecting=6, **options)

    async def use() -> None:
        lease = pool.aconnection(timeout=10)
        async with lease:
            await asyncio.sleep(0)
            lease.discard()

    async def main() -> None:
        tasks = [asyncio.create_task(use()) for _ in range(6)]
        assert await soon(lambda: sum(task.done() for task in tasks) >= 2), "two whose closes must wait go on"
        assert await soon(lambda: closing.under_way == 4)
        for _ in range(5):
            await use()
        assert closing.under_way == 4 and pool.stats().leased == 0
        await others_go_on()
        closing.free.set()
        await asyncio.gather(*tasks)
        assert await soon(lambda: len(closing.over) == 11)

    in_time(main)
    assert at_rest(pool)
    pool.close()


def test_the_loops_executor_is_never_asked() -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("the loop's executor")

    verdicts = [False, True]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor = refuse  # type: ignore[method-assign]
        for _ in range(3):  # connect, then a check that says no, then one that says yes
            async with pool.aconnection() as c:
                pass
        lease = pool.aconnection()
        async with lease as c:
            lease.discard()
        assert c.closed and c.closed_in != threading.get_ident()
        del loop.run_in_executor
        assert verdicts == []

    check = lambda c: verdicts.pop(0) if verdicts else True  # noqa: E731
    pool = fastpool.Pool(Told, check=check, check_after=0, reset=lambda c: None, max_size=1)
    verdicts.append(True)
    in_time(main)
    pool.close()


def test_threads_end_when_nobody_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workers, "REST_S", 0.01)
    pool = fastpool.Pool(Told, max_size=1, max_uses=1)

    async def main() -> None:
        for _ in range(3):
            async with pool.aconnection():
                pass
            assert await soon(lambda: all(crew.count == 0 for crew in crews))

    crews = [getattr(staff_of(pool), name) for name in ("connecting", "closing", "ending")]
    in_time(main)
    assert pool.stats().closed["max_uses"] == 3
    pool.close()


def test_without_threads_a_checkout_fails_closes_are_made_at_once_and_no_slot_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    pool = fastpool.Pool(Told, max_size=1, max_uses=1)

    async def main() -> None:
        monkeypatch.setattr(_workers, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            async with pool.aconnection():
                raise AssertionError
        assert at_rest(pool) and pool.stats().connect_errors == 0
        pool.warm()
        async with pool.aconnection() as c:
            pass
        assert c.closed and at_rest(pool)

    in_time(main)
    monkeypatch.undo()
    in_time(lambda: phase_free(pool))
    pool.close()


async def phase_free(pool: fastpool.Pool) -> None:
    async with pool.aconnection(timeout=5):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    hanging = Hanging()

    def connect() -> Told:
        if os.getpid() == parent:
            hanging()
        return Told()

    async def main() -> None:
        assert await phase_of(pool, 0.05) == "connect"

    parent = os.getpid()
    pool = fastpool.Pool(connect, max_size=1, max_connecting=1)
    in_time(main)
    child = os.fork()
    if child == 0:
        try:
            in_time(lambda: phase_free(pool))
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    hanging.free.set()
    assert eventually(lambda: pool.stats().idle == 1)
    pool.close()


def test_no_job_is_lost_however_they_come_and_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_workers, "REST_S", 0.0005)
    workers, done, together, most = Workers(3), list[int](), list[int](), list[int]()

    def job() -> None:
        together.append(1)
        most.append(len(together))
        together.pop()
        done.append(1)

    def put() -> None:
        for n in range(400):
            workers.do(job)
            if n % 7 == 0:
                time.sleep(0.0007)  # about as long as they rest

    threads = [threading.Thread(target=put, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert eventually(lambda: len(done) == 1200)
    assert max(most) <= 3
    assert eventually(lambda: workers.count == 0)


def test_a_job_that_raises_costs_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    workers, done = Workers(1), threading.Event()

    def bad() -> None:
        raise SystemExit("mine")

    workers.do(bad)
    workers.do(done.set)
    assert done.wait(20)
    assert "goes on after an error" in caplog.text
