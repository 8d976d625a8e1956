"""How a task waits, as asyncio sees it: one timer per loop, wake-ups that cannot be lost, and every way a block
ends."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import fastpool

from ._told import at_rest, soon
from ._waking import Connection, Struck, StruckLoop, made

MANY = 300


async def use(pool: Any, seen: list[Any] | None = None) -> None:
    async with pool.aconnection() as c:
        if seen is not None:
            seen.append(c)


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the timers that are requested; its clock stands still, so that none is due meanwhile."""

    timers = 0

    def time(self) -> float:
        return 1000.0

    def call_at(self, *args: Any, **kwargs: Any) -> Any:
        self.timers += 1
        return super().call_at(*args, **kwargs)


@pytest.mark.parametrize("kind", [fastpool.AsyncPool, fastpool.Pool])
def test_all_waiters_of_a_loop_share_one_timer(kind: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        pool = kind(Connection, max_size=1, timeout=30)
        async with pool.aconnection():
            before = loop.timers
            tasks = [asyncio.ensure_future(use(pool)) for _ in range(MANY)]
            while pool.stats().waiting < MANY:
                await asyncio.sleep(0)
            assert loop.timers - before == 1
        await asyncio.gather(*tasks)
        assert at_rest(pool)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())


def test_a_deadline_that_is_near_has_a_timer_of_its_own_which_goes_with_the_wait() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        pool = made()
        async with pool.connection():
            before = loop.timers
            waiting = asyncio.ensure_future(pool.checkout(timeout=0.9))
            while not pool.stats().waiting:
                await asyncio.sleep(0)
            assert loop.timers - before == 2  # the tick, and this one's
        pool.checkin(await waiting)
        assert [timer for timer in loop._scheduled if not timer.cancelled()][1:] == [], "only the tick is left"  # type: ignore[attr-defined]

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(main())


def test_deadlines_that_are_far_are_kept_and_none_is_early() -> None:
    async def main() -> None:
        with fastpool.testing.VirtualClock() as clock:
            pool = made(max_waiting=None)
            async with pool.connection():
                ends: list[float] = []

                async def until(seconds: float) -> None:
                    with pytest.raises(fastpool.NoConnectionsAvailable):
                        await pool.checkout(timeout=seconds)
                    ends.append(seconds)

                far = [asyncio.ensure_future(until(1000.0)) for _ in range(20)]  # one of which looks for leaks for all
                tasks = [asyncio.ensure_future(until(seconds)) for seconds in (30.0, 10.0, 20.0, 0.5)]
                assert await soon(lambda: pool.stats().waiting == 24)
                for at, gone in ((0.4, 0), (0.2, 1), (9.3, 1), (0.2, 2), (9.8, 2), (0.2, 3), (10, 4)):
                    clock.advance(at)
                    assert await soon(lambda gone=gone: len(ends) == gone)  # type: ignore[misc]
                    await asyncio.sleep(0.02)  # several ticks, while the pools' clock stands still
                    assert len(ends) == gone
                await asyncio.gather(*tasks)
                for one in far:
                    one.cancel()
                await asyncio.wait(far)
            assert ends == [0.5, 10.0, 20.0, 30.0]

    asyncio.run(main())


def test_a_cancelled_wait_ends_with_the_message_it_was_cancelled_with() -> None:
    async def main() -> None:
        pool = made()
        async with pool.connection():
            waiting = asyncio.ensure_future(use(pool))
            while not pool.stats().waiting:
                await asyncio.sleep(0)
            waiting.cancel("out of patience")
            with pytest.raises(asyncio.CancelledError, match="out of patience"):
                await waiting
            assert pool.stats().waiting == 0
        assert at_rest(pool)

    asyncio.run(main())


def test_what_asyncio_shows_of_a_task_in_line_says_so() -> None:
    async def main() -> None:
        pool = made(name="orders")
        async with pool.connection():
            waiting = asyncio.ensure_future(use(pool))
            while not pool.stats().waiting:
                await asyncio.sleep(0)
            assert "in line for a connection of pool 'orders'" in repr(waiting)
        await waiting

    asyncio.run(main())


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_that_strikes_the_wake_of_a_task_loses_nothing(when: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, StruckLoop)
        pool = made()
        seen: list[Any] = []
        c = await pool.checkout()
        waiting = [asyncio.ensure_future(use(pool, seen)) for _ in range(2)]
        while pool.stats().waiting < 2:
            await asyncio.sleep(0)
        with pytest.raises(Struck):
            loop.strike = when
            pool.checkin(c)
            for _ in range(100):  # it is raised in the giver a moment later
                pass
        async with asyncio.timeout(10):
            await asyncio.gather(*waiting)
        assert seen == [c, c] and at_rest(pool)

    with asyncio.Runner(loop_factory=StruckLoop) as runner:
        runner.run(main())


def test_a_coroutine_that_is_closed_in_line_leaves_it() -> None:
    async def main() -> None:
        pool = made()
        c = await pool.checkout()
        steps = use(pool)
        assert steps.send(None) is not None
        assert pool.stats().waiting == 1
        steps.close()
        assert pool.stats().waiting == 0
        pool.checkin(c)
        assert at_rest(pool)

    asyncio.run(main())


def test_a_closed_loop_is_freed_once_its_waiters_have_left_the_line() -> None:
    loop = asyncio.new_event_loop()
    pool = fastpool.Pool(Connection, max_size=1, timeout=30)
    with pool.connection():
        waiting = loop.create_task(use(pool))
        while not pool.stats().waiting:
            loop.run_until_complete(asyncio.sleep(0))
        waiting.set_name("nobody's")
        loop.set_exception_handler(lambda loop, context: None)  # for the task that is destroyed while it waits
        loop.close()
        gone = weakref.ref(loop)
        del loop, waiting
    gc.collect()
    assert gone() is None and at_rest(pool)


@pytest.mark.parametrize(
    "what", [("a reader", "a writer"), (), ValueError("a connection all the same"), StopIteration(3)]
)
def test_any_object_may_be_a_connection(what: Any) -> None:
    """StopIteration carries the result, and must not interpret a tuple or an exception as its own arguments."""

    async def main() -> None:
        pool = fastpool.AsyncPool(lambda: what, max_size=1)
        for _ in range(2):
            async with pool.connection() as c:
                assert c is what
                waiting = asyncio.ensure_future(pool.checkout())
                while not pool.stats().waiting:
                    await asyncio.sleep(0)
            assert await waiting is what
            pool.checkin(what)

    asyncio.run(main())


def test_a_lease_that_is_awaited_says_what_to_do() -> None:
    async def main() -> None:
        pool = made()
        with pytest.raises(TypeError, match="async with"):
            await pool.connection()
        with pytest.raises(TypeError):
            with pool.connection():  # type: ignore[attr-defined]
                pass
        assert len(pool) == 0

    asyncio.run(main())


def test_a_block_that_failed_is_ended_as_such_by_the_thread_that_ends_it_for_a_task_that_was_cancelled() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        pool = fastpool.Pool(Connection, max_size=1, reset=lambda c: None)
        free, broken = threading.Event(), asyncio.Event()

        async def fail() -> None:
            async with pool.aconnection():
                asyncio.get_running_loop().run_in_executor(None, free.wait, 20)  # the only thread is busy
                broken.set()
                raise ValueError("half a reply")

        failing = asyncio.ensure_future(fail())
        await broken.wait()
        failing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await failing
        free.set()
        assert await soon(lambda: at_rest(pool))
        assert pool.stats().closed["error"] == 1

    asyncio.run(main())


def test_step_by_step_without_a_loop_that_takes_turns() -> None:
    """Wrappers of coroutines call these methods by name."""

    async def main() -> None:
        pool = made()
        pool.checkin(await pool.checkout())
        way_in = pool.connection()
        steps = way_in.__aenter__().__await__()
        with pytest.raises(StopIteration) as end:
            steps.__next__()
        assert isinstance(end.value.value, Connection)
        steps = way_in.__aexit__(None, None, None).__await__()
        with pytest.raises(StopIteration) as end:
            steps.send(None)
        assert end.value.value is None and at_rest(pool)

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin at once only since 3.12")
def test_tasks_that_begin_at_once() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        pool = made(max_size=2)
        seen: list[Any] = []
        await asyncio.gather(*(asyncio.ensure_future(slowly(pool, seen)) for _ in range(20)))
        assert len(seen) == 20 and at_rest(pool)

    async def slowly(pool: Any, seen: list[Any]) -> None:
        async with pool.connection() as c:
            await asyncio.sleep(0)
            seen.append(c)

    asyncio.run(main())


def python_task(loop: Any, steps: Any, **given: Any) -> Any:
    return asyncio.tasks._PyTask(steps, loop=loop, **given)  # type: ignore[attr-defined]


def test_asyncios_own_tasks_in_python_wait_as_well() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(python_task)
        pool = made()
        seen: list[Any] = []
        async with pool.connection():
            waiting = [asyncio.ensure_future(use(pool, seen)) for _ in range(3)]
            while pool.stats().waiting < 3:
                await asyncio.sleep(0)
            waiting[1].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [type(None), asyncio.CancelledError, type(None)]
        assert len(seen) == 2 and at_rest(pool)

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_loop_does_not_run_on_in_a_forked_child() -> None:
    """The owner of a connection in the child is a thread, whatever the parent's loop was doing."""

    def in_the_child(pool: fastpool.Pool) -> bool:
        with pool.connection():
            return "task" not in pool.leases()[0].owner

    async def main() -> None:
        pool = fastpool.Pool(Connection, max_size=1)
        async with pool.aconnection():
            assert "task" in pool.leases()[0].owner
        assert ends_well(lambda: in_the_child(pool))

    asyncio.run(main())


def ends_well(what: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if what() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("as_block", [True, False])
def test_a_stop_iteration_thrown_into_a_waiter_does_not_end_the_wait(as_block: bool) -> None:
    """As in any coroutine it becomes a RuntimeError; as a normal end it would return a slot that was never handed
    over."""

    async def stand(pool: fastpool.AsyncPool) -> None:
        if as_block:
            async with pool.connection():
                raise AssertionError
        await pool.checkout()
        raise AssertionError

    async def main() -> None:
        pool = made()
        c = await pool.checkout()
        waiting = stand(pool)
        waiting.send(None)
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            waiting.throw(StopIteration(1))
        assert isinstance(caught.value.__cause__, StopIteration)
        assert pool.stats().waiting == 0
        pool.checkin(c)
        await pool.close()

    asyncio.run(main())
