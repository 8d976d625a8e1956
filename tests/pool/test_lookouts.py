"""Many threads in line: a few look for leaks, the others sleep, and nothing goes unnoticed."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import fastpool
from fastpool.testing import VirtualClock
from tests.core.native import load
from tests.pool.fake_driver import Plain, Run, holding, until, waiting

LOOKOUTS = 4
YEAR = 365 * 24 * 3600.0
WITH_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def in_line(pool: fastpool.Pool, count: int, call: Any, *args: Any) -> list[Run]:
    """That many threads, in line one after the other: the first four are the lookouts."""
    runs = []
    for _ in range(count):
        before = pool.stats().waiting
        runs.append(Run(call, *args))
        waiting(pool, before + 1)
    return runs


def use(pool: fastpool.Pool, timeout: float | None) -> None:
    with pool.connection(timeout):
        pass


def switches(run: Run) -> int:
    """How often the thread has gone to sleep."""
    status = Path(f"/proc/self/task/{run.thread.native_id}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def slept_within(seconds: float, runs: list[Run]) -> list[Run]:
    """Those that have gone to sleep, and so had been awake, in the next seconds."""
    before = [switches(run) for run in runs]
    time.sleep(seconds)
    return [run for run, was in zip(runs, before, strict=True) if switches(run) != was]


needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/task") or "voluntary_ctxt_switches" not in Path("/proc/self/status").read_text(),
    reason="the system does not tell how often a thread sleeps",
)
native = pytest.mark.skipif(sys.platform == "win32", reason="the test extension runs on POSIX threads")


def natively(pool: fastpool.Pool, timeout: float) -> Any:
    pool.warm()
    user = load("_native_user", "tests/_native_user.pyx").Native(pool)
    return lambda: user.run_threads(1, 1, timeout)


@needs_proc
def test_a_waiter_sleeps() -> None:
    pool = Plain().pool(max_size=1)
    with holding(pool):
        runs = in_line(pool, 200, use, pool, None)
        until(lambda: len(slept_within(0.25, runs)) <= LOOKOUTS, "those in line are asleep")
        woken = slept_within(3, runs)
        assert len(woken) <= LOOKOUTS, f"{len(woken)} of {len(runs)} threads did not sleep through"
    for run in runs:
        run.result()


@needs_proc
@native
def test_native_threads_that_wait_sleep() -> None:
    pool = Plain().pool(max_size=1)
    call = natively(pool, 60.0)

    def of_the_process() -> int:
        return sum(
            int(Path(f"{task}/status").read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
            for task in Path("/proc/self/task").iterdir()
            if task.name != str(threading.get_native_id())
        )

    with holding(pool):
        runs = in_line(pool, 60, call)
        before = of_the_process()
        time.sleep(3)
        # Each call has one more thread, which joins; a lookout wakes three times, and may have to wait for the GIL.
        assert of_the_process() - before < 60
    for run in runs:
        assert run.result()["ok"] == 1


class Connection:
    """A connection to which only the pool refers."""


@pytest.mark.skipif(not WITH_GIL, reason="without the GIL it is not known that nobody refers to a connection")
@pytest.mark.parametrize("way", ["timed out", "served"])
def test_the_duty_is_passed_on(way: str) -> None:
    """The lookouts leave. Leases lost afterwards are found by the waiters without a deadline."""
    pool = fastpool.Pool(Connection, max_size=1)
    kept: list[Any] = [pool.checkout()]

    def keep() -> None:
        kept.append(pool.checkout(timeout=30))

    first = in_line(pool, LOOKOUTS, keep) if way == "served" else in_line(pool, LOOKOUTS, use, pool, 0.3)
    rest = in_line(pool, 3, use, pool, None)
    for run in first:
        if way == "served":
            pool.checkin(kept.pop())
            run.result()
        else:
            assert isinstance(run.error(), fastpool.NoConnectionsAvailable)
    assert (len(kept), pool.stats().waiting) == (1, 3)
    kept.clear()  # dropped without checkin
    for run in rest:
        run.result()
    assert pool.stats().leaks == 1


@native
def test_the_duty_is_passed_on_to_native_threads() -> None:
    pool = Plain().pool(max_size=1)
    call = natively(pool, 30.0)
    lease = pool.connection()
    entered, leave = threading.Event(), threading.Event()

    def enter() -> None:
        lease.__enter__()
        entered.set()
        assert leave.wait(30)

    holder = Run(enter)
    assert entered.wait(30)
    first = in_line(pool, LOOKOUTS, use, pool, 0.3)
    rest = in_line(pool, 3, call)
    for run in first:
        assert isinstance(run.error(), fastpool.NoConnectionsAvailable)
    leave.set()
    holder.result()  # its block is open, and its thread has ended
    until(lambda: pool.stats().leaks == 1, "a report")
    lease.__exit__(None, None, None)
    for run in rest:
        assert run.result()["ok"] == 1


def test_an_ended_owner_is_reported_after_the_lookouts_have_left() -> None:
    pool = Plain().pool(max_size=2)
    with holding(pool) as (holder,):
        entered, leave = threading.Event(), threading.Event()
        lease = pool.connection()

        def enter() -> None:
            lease.__enter__()
            entered.set()
            assert leave.wait(30)

        owner = Run(enter)
        assert entered.wait(30)
        first = in_line(pool, LOOKOUTS, use, pool, 0.3)
        rest = in_line(pool, 2, use, pool, None)
        for run in first:
            assert isinstance(run.error(), fastpool.NoConnectionsAvailable)
        leave.set()
        owner.result()
        until(lambda: pool.stats().leaks == 1, "a report")
        holder.end()
        lease.__exit__(None, None, None)
    for run in rest:
        run.result()


@pytest.mark.parametrize("left", [0, LOOKOUTS])
def test_all_notice_a_clock_that_is_stopped_and_moved(left: int) -> None:
    pool = Plain().pool(max_size=1)
    with holding(pool):
        first = in_line(pool, left, use, pool, 0.3)
        runs = in_line(pool, LOOKOUTS + 4, use, pool, YEAR)
        for run in first:
            assert isinstance(run.error(), fastpool.NoConnectionsAvailable)
        with VirtualClock() as clock:
            clock.advance(2 * YEAR)
            for run in runs:
                assert isinstance(run.error(), fastpool.NoConnectionsAvailable)


def test_all_notice_a_clock_that_is_stopped_a_second_time() -> None:
    pool = Plain().pool(max_size=1)
    with holding(pool):
        runs = in_line(pool, LOOKOUTS + 4, use, pool, YEAR)
        with VirtualClock() as clock:
            clock.advance(YEAR / 2)
            late = Run(use, pool, 0)
            assert isinstance(late.error(), fastpool.NoConnectionsAvailable)
            assert pool.stats().waiting == len(runs)
        with VirtualClock() as clock:
            clock.advance(2 * YEAR)
            for run in runs:
                assert isinstance(run.error(), fastpool.NoConnectionsAvailable)


def test_waiters_that_do_not_look_are_told_of_a_close_and_served_in_turn() -> None:
    pool = Plain().pool(max_size=1)
    order: list[int] = []

    def turn(number: int) -> None:
        with pool.connection(None):
            order.append(number)
            if number == 9:
                pool.close()

    with holding(pool):
        runs = []
        for number in range(12):
            runs.append(Run(turn, number))
            waiting(pool, number + 1)
    for run in runs[:10]:
        run.result()
    for run in runs[10:]:
        assert isinstance(run.error(), fastpool.PoolClosed)
    assert order == list(range(10))
