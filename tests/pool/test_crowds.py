"""Many threads time out at the same moment: they do not compete for the GIL, and their errors are accurate.

The pools' clock is stopped, so that all of them stand in line before the first times out, however slow the machine is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

import fastpool
from fastpool._core import clock_stop
from fastpool._telemetry import report as _report
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Plain, Run, holding, waiting
from tests.process._scripts import run

CROWD = 100
WITH_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
on_linux_with_gil = pytest.mark.skipif(
    not (sys.platform == "linux" and WITH_GIL), reason="counts how often threads that wait for the GIL sleep"
)


class Time:
    """A clock that advances at each reading."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def read_by(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    """Have the reports read this clock, and share what they tell as if the pools' clock ran."""
    monkeypatch.setattr(_report, "monotonic", time)
    monkeypatch.setattr(_report, "clock_is_stopped", lambda: False)


def errors_of(pool: fastpool.Pool, count: int, clock: VirtualClock) -> list[fastpool.NoConnectionsAvailable]:
    """The errors of that many threads, half of which have waited longer, whose deadlines pass together."""
    runs = []
    for half in (1, 2):
        runs += [Run(pool.checkout, 0.5) for _ in range(count // 2)]
        waiting(pool, half * count // 2)
        clock.advance(0.2)
    clock.advance(0.3)
    errors = [one.error() for one in runs]
    assert all(isinstance(error, fastpool.NoConnectionsAvailable) for error in errors), errors
    return errors  # type: ignore[return-value]


@pytest.fixture
def uninterrupted() -> Iterator[None]:
    """No thread loses the GIL while it takes a snapshot, however slow the machine: another would take its own."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(30)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("uninterrupted")
def test_errors_of_a_crowd_share_what_they_tell(monkeypatch: Any, clock: VirtualClock) -> None:
    read_by(monkeypatch, Time(0))
    pool = Plain().pool(max_size=2, name="p")
    with holding(pool, 2) as holders:
        errors = errors_of(pool, CROWD, clock)
        names = {holder.run.thread.name for holder in holders}
    if WITH_GIL:  # without the GIL they look at the same time
        assert len({id(error.stats) for error in errors}) == 1
        assert len({id(error.holders) for error in errors}) == 1
    assert {round(error.waited, 2) for error in errors} == {0.5, 0.7}, "how long it waited is each one's own"
    for error in errors:
        assert {info.thread for info in error.holders} == names
        assert (error.stats.leased, error.stats.size, error.stats.max_size) == (2, 2, 2)
        assert (16 if WITH_GIL else 0) <= error.stats.waiting <= CROWD
        assert error.waited >= 0.5
        assert str(error).startswith("pool 'p' had no connection to give within ")
        assert all(f"by thread {name!r}" in str(error) for name in names)
    assert pool.stats().timeouts == CROWD
    assert pool.stats().waiting == 0


def test_errors_of_another_moment_tell_of_that(monkeypatch: Any, clock: VirtualClock) -> None:
    read_by(monkeypatch, Time(1))
    pool = Plain().pool(max_size=1)
    with holding(pool):
        errors = errors_of(pool, CROWD, clock)
    assert len({id(error.stats) for error in errors}) == CROWD


def test_a_few_tell_each_its_own(monkeypatch: Any, clock: VirtualClock) -> None:
    read_by(monkeypatch, Time(0))
    pool = Plain().pool(max_size=1)
    with holding(pool):
        errors = errors_of(pool, 10, clock)
    assert sorted(error.stats.timeouts for error in errors)[-1] == 10
    assert len({id(error.stats) for error in errors}) == 10


def test_a_later_waiter_gets_no_earlier_report(monkeypatch: Any, clock: VirtualClock) -> None:
    """An error must not describe a state from before its own wait."""
    time = Time(0)
    read_by(monkeypatch, time)
    pool = Plain().pool(max_size=1)
    with holding(pool):
        runs = [Run(pool.checkout, 0.5) for _ in range(CROWD)]
        waiting(pool, CROWD)
        stats = []
        for _ in range(2):
            with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
                pool.checkout(timeout=0)
            stats.append(caught.value.stats)
            time.now += 0.005
        clock.advance(0.5)
        for one in runs:
            one.error()
    assert stats[0] is not stats[1]
    assert [one.timeouts for one in stats] == [1, 2]


def woken_while_the_gil_is_kept(seconds: float) -> int:
    """Keep the GIL for that long, asleep; returns how often threads of this process went to sleep meanwhile."""
    import ctypes
    import resource

    libc = ctypes.PyDLL(None)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    libc.usleep(int(seconds * 1e6))
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before


@on_linux_with_gil
@pytest.mark.parametrize("end", ["deadline", "close"])
def test_threads_that_give_up_together_do_not_wake_for_the_gil_time_and_again(end: str, clock: VirtualClock) -> None:
    """A thread that waits for the GIL wakes 200 times a second; 300 threads would wake 36,000 times here."""
    pool = Plain().pool(max_size=1)
    with holding(pool):
        runs = [Run(pool.checkout, 1.0 if end == "deadline" else None) for _ in range(300)]
        waiting(pool, 300)
        if end == "close":
            pool.close()
        else:
            clock_stop(clock.now + 1)  # advance() would wait for the keeper, and let them have the GIL one by one
        woken = woken_while_the_gil_is_kept(0.6)
        for one in runs:
            assert isinstance(one.error(), (fastpool.NoConnectionsAvailable, fastpool.PoolClosed))
    assert woken < 9000, f"300 threads woke {woken} times"


@on_linux_with_gil
def test_a_child_that_is_forked_while_a_crowd_comes_back() -> None:
    """The parent's threads that queue for the report are not in the child, whose own threads must not wait for them."""
    said = run("""
        import ctypes, os, threading, time
        import fastpool
        from fastpool._core import clock_stop
        from fastpool._telemetry import report

        def crowd(pool, count, now):
            def wait():
                try:
                    pool.checkout(timeout=0.5)
                except fastpool.NoConnectionsAvailable as error:
                    ended.append(error)
            ended = []
            threads = [threading.Thread(target=wait) for _ in range(count)]
            for thread in threads:
                thread.start()
            while pool.stats().waiting < count:
                time.sleep(0.001)
            clock_stop(now + 0.5)
            libc.usleep(500_000)  # with the GIL: they all come back and wait for it
            child = os.fork() if count == 60 else None
            if child == 0:
                return None
            for thread in threads:
                thread.join()
            assert len(ended) == count, len(ended)
            return child

        libc = ctypes.PyDLL(None)
        pool = fastpool.Pool(object, max_size=1)
        clock_stop(1e6)
        report.clock_is_stopped = lambda: False  # errors of a crowd share what they tell, as if it ran
        c = pool.checkout()
        child = crowd(pool, 60, 1e6)
        if child is None:
            mine = pool.checkout(timeout=1)
            crowd(pool, 40, 1e6 + 0.5)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        print("well")
    """)
    assert said.strip() == "well"
