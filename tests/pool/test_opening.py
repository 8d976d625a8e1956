"""open(): the connections that are open when it returns."""

import asyncio
import threading

import pytest

from fastpool import NoConnectionsAvailable, PoolClosed
from fastpool._connecting.opening import Opening
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import PATIENCE, Failure, Plain, Run, until
from tests.pool.opening_driver import AsyncPlain, in_loop, soon, unopened

# ---- several at once


@pytest.mark.parametrize(("size", "connecting"), [(1, 1), (1, 2), (2, 2), (4, 2), (3, 8)])
def test_each_of_several_threads_that_open_it_returns_when_all_are_open(size, connecting):
    driver = Plain()
    pool = unopened(driver, min_size=size, max_connecting=connecting)
    driver.connecting.hold()
    seen = []
    runs = [Run(lambda: (pool.open(), seen.append(len(pool)))) for _ in range(6)]
    driver.connecting.held(min(size, connecting))
    assert pool.stats().connecting == min(size, connecting)
    assert seen == [] and not any(run.done for run in runs)
    driver.connecting.go()
    for run in runs:
        run.result()
    assert seen == [size] * 6
    assert driver.most_together <= connecting and len(driver.made) == size
    assert pool.stats().connect_errors == 0


def test_each_of_several_tasks_that_open_it_returns_when_all_are_open():
    async def main():
        driver = AsyncPlain()
        pool = driver.pool(min_size=4, max_connecting=2)
        driver.go.clear()
        seen = []

        async def opening():
            await pool.open()
            seen.append(len(pool))

        tasks = [asyncio.create_task(opening()) for _ in range(6)]
        await soon(lambda: driver.began == 2)
        await asyncio.sleep(0.01)
        assert seen == []
        driver.go.set()
        await asyncio.gather(*tasks)
        assert seen == [4] * 6 and len(driver.made) == 4 and driver.most_together == 2
        await pool.close()

    in_loop(main)


def test_what_one_caller_failed_to_open_is_opened_by_the_one_that_waited_for_it():
    driver = Plain()
    pool = unopened(driver, min_size=1, max_connecting=1)
    entered, go = threading.Event(), threading.Event()

    def refuse_the_first():
        driver.connecting.mode = "ok"
        entered.set()
        assert go.wait(PATIENCE)
        raise Failure("the first one's")

    driver.connecting.mode = refuse_the_first
    first = Run(pool.open)
    assert entered.wait(PATIENCE)
    second = Run(pool.open)
    go.set()
    with pytest.raises(Failure, match="the first one's"):
        first.result()
    second.result()
    assert len(pool) == 1 and pool.was_opened
    pool.close()


def test_when_all_fail_each_says_why_its_own_did():
    driver = Plain()
    pool = unopened(driver, min_size=2, max_connecting=1)
    numbers = iter(range(9))

    def refuse():
        raise Failure(next(numbers))

    driver.connecting.mode = refuse
    errors = [str(run.error()) for run in [Run(pool.open) for _ in range(4)]]
    assert sorted(errors) == ["0", "1", "2", "3"]
    assert not pool.was_opened
    driver.connecting.mode = "ok"
    pool.open()
    assert len(pool) == 2
    pool.close()


def test_an_open_that_fails_after_the_first_failed_does_not_leave_the_pool_open(monkeypatch):
    driver = Plain()
    pool = unopened(driver, min_size=1)
    begun, over = threading.Event(), threading.Event()
    driver.connecting.hold()
    first = Run(pool.open)
    driver.connecting.held()
    begin = Opening.begin

    def begin_and_wait(opening):
        begin(opening)
        begun.set()
        assert over.wait(PATIENCE)

    monkeypatch.setattr(Opening, "begin", begin_and_wait)
    second = Run(pool.open)
    assert begun.wait(PATIENCE)
    driver.refusing.add(None)
    driver.connecting.go()
    assert first.error() is not None and not pool.was_opened
    over.set()
    assert second.error() is not None and not pool.was_opened
    pool.close()


def test_of_tasks_that_had_begun_when_the_first_failed_none_leaves_it_open():
    async def fail():
        raise Failure("not today")

    async def main():
        driver = AsyncPlain()
        pool = driver.pool(min_size=1, max_connecting=1)
        driver.go.clear()
        tasks = [asyncio.create_task(pool.open()) for _ in range(3)]
        await soon(lambda: driver.began == 1)
        driver.failures = dict.fromkeys(range(1, 9), fail)
        driver.go.set()
        assert [type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)] == [Failure] * 3
        assert not pool.was_opened
        await pool.close()

    in_loop(main)


def test_closed_while_it_waits_for_what_another_opens():
    driver = Plain()
    pool = unopened(driver, min_size=1, max_connecting=1)
    driver.connecting.hold()
    runs = [Run(pool.open) for _ in range(2)]
    driver.connecting.held()
    pool.close()
    until(lambda: any(run.done for run in runs), "one of them")
    driver.connecting.go()
    for run in runs:
        with pytest.raises(PoolClosed):
            run.result()
    until(lambda: not driver.open)


def test_closed_while_a_task_waits_for_what_another_opens():
    async def main():
        driver = AsyncPlain()
        pool = driver.pool(min_size=2, max_connecting=1)
        driver.go.clear()
        tasks = [asyncio.create_task(pool.open()) for _ in range(2)]
        await soon(lambda: driver.began == 1)
        await pool.close()
        driver.go.set()
        for task in tasks:
            with pytest.raises(PoolClosed):
                await task
        await soon(lambda: not driver.open)

    in_loop(main)


def test_it_waits_for_what_a_caller_is_connecting_but_not_for_ever():
    """For example in a signal handler that interrupts a connect and opens the pool: it must not wait for ever."""
    driver = Plain()
    with VirtualClock() as clock:
        pool = unopened(driver, min_size=1, max_connecting=1, timeout=5)
        driver.connecting.hold()
        hanging = Run(pool.checkout, None)
        driver.connecting.held()
        run = Run(pool.open)
        while not run.done:
            clock.advance(1)
        assert isinstance(run.error(), NoConnectionsAvailable) and run.error().phase == "connect"
        driver.connecting.go()
        pool.checkin(hanging.result())
        pool.open()
        pool.close()


# ---- what each connect is given


def test_warm_waits_for_what_a_caller_is_connecting_as_long_as_a_caller_would():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(max_size=2, max_connecting=1, timeout=5)
        driver.connecting.hold()
        hanging = Run(pool.checkout, None)
        driver.connecting.held()
        run = Run(pool.warm)
        while not run.done:
            clock.advance(1)
        assert isinstance(run.error(), NoConnectionsAvailable)
        assert pool.warm(timeout=0) == 0
        driver.connecting.go()
        pool.checkin(hanging.result())
        assert pool.warm() == 2
        pool.close()


@pytest.mark.parametrize(("timeout", "given"), [(None, None), (3.0, 3.0), (0, None)])
def test_each_connect_of_open_is_given_the_pools_timeout(timeout, given):
    with VirtualClock() as clock:
        for way in ("constructor", "open", "with"):
            driver = Plain()
            driver.connecting.mode = lambda: clock.advance(1)
            pool = driver.pool(min_size=3, timeout=timeout, open=way == "constructor")
            if way == "open":
                pool.open()
            elif way == "with":
                pool.__enter__()
            assert driver.timeouts == [given] * 3
            pool.close()


def test_each_awaited_connect_of_open_is_given_the_pools_timeout_and_cut_off_by_it():
    async def main():
        driver = AsyncPlain()
        pool = driver.pool(min_size=2, timeout=0.02)
        driver.go.clear()
        with pytest.raises(NoConnectionsAvailable) as caught:
            await pool.open()
        assert caught.value.phase == "connect" and 0 < driver.timeouts[0] <= 0.02
        await pool.close()

    in_loop(main)
