"""The core's clock: the operating system's, which goes on while the machine is suspended; tests can move it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator

import pytest

from tests.core.native import probe

parts = probe()
PATIENCE = 1 << 19  # of the counter, as in clock.h; less on some processors


@pytest.fixture(autouse=True)
def run_again() -> Iterator[None]:
    yield
    parts.stop_clock(0)


def system_ns() -> int:
    """On Linux `CLOCK_MONOTONIC` stands still while the machine is suspended, and `CLOCK_BOOTTIME` does not."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns()


def test_it_is_the_systems_clock_that_goes_on_while_the_machine_is_suspended() -> None:
    before = system_ns()
    precise, coarse, real, _ = parts.clocks()
    after = system_ns()
    assert before <= precise <= real <= after
    assert coarse <= after, "the coarse one is never ahead"


def test_the_coarse_one_is_behind_by_a_tick_or_so() -> None:
    """The best of several readings, because a busy machine's ticks come late."""
    behind = []
    pause = threading.Event()
    while not behind or (min(behind) > 20_000_000 and len(behind) < 200):
        precise, coarse, _, _ = parts.clocks()
        behind.append(precise - coarse)
        pause.wait(0.005)
    assert 0 <= min(behind) <= 20_000_000


def test_it_never_goes_back() -> None:
    readings = [parts.clocks() for _ in range(10_000)]
    for which in (0, 1, 3):
        column = [reading[which] for reading in readings]
        assert column == sorted(column)


def test_order_tells_before_from_after_between_threads() -> None:
    """`order` decides which slot was returned last."""
    stamps: list[int] = []
    for _ in range(50):
        thread = threading.Thread(target=lambda: stamps.append(parts.clocks()[3]))
        thread.start()
        thread.join()
        stamps.append(parts.clocks()[3])
    assert stamps == sorted(set(stamps))


def test_the_near_one_is_never_ahead_and_never_older_than_its_patience() -> None:
    """Two threads, which may change processors, read it while the coarse clock ticks a few times.

    It returns the coarse clock, read at most PATIENCE of the counter ago: so it is not behind what the coarse clock
    showed before that, however late the machine's ticks come.
    """
    wrong: list[tuple[int, ...]] = []

    def look() -> None:
        readings: deque[tuple[int, int]] = deque()  # (counter, coarse), the coarse clock read first
        last = shown = 0
        _, coarse, _, counter = parts.clocks()
        end = coarse + 50_000_000
        while coarse < end:
            readings.append((counter, coarse))
            while readings[0][0] <= counter - PATIENCE:
                shown = readings.popleft()[1]
            _, near, after = parts.near_clock()
            if not shown <= near <= after or near < last:
                wrong.append((shown, near, after, last))
            last = near
            _, coarse, _, counter = parts.clocks()
        assert shown, "the counter runs"

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_near_one_after_a_pause() -> None:
    _, first, _ = parts.near_clock()
    pause = threading.Event()
    while parts.clocks()[1] < first + 30_000_000:
        pause.wait(0.01)
    coarse = parts.clocks()[1]
    assert parts.near_clock()[1] >= coarse, "the last reading is too old to be used"


def test_stopped_it_stands_where_it_was_put() -> None:
    parts.stop_clock(5_000_000_000)
    assert parts.clocks()[:2] == (5_000_000_000, 5_000_000_000)
    assert parts.near_clock() == (5_000_000_000,) * 3
    assert parts.clocks()[2] != 5_000_000_000, "the real one is still to be had"
    parts.stop_clock(6_000_000_001)
    assert parts.clocks()[:2] == (6_000_000_001, 6_000_000_001)
    parts.stop_clock(0)
    assert abs(parts.clocks()[0] - system_ns()) < 1_000_000_000


def test_thread_numbers_are_never_used_again() -> None:
    uids: list[int] = []
    for _ in range(200):
        thread = threading.Thread(target=lambda: uids.append(parts.thread_uid()))
        thread.start()
        thread.join()
    assert len(set(uids)) == 200, "unlike idents, which the system gives out again"
    assert parts.thread_uid() == parts.thread_uid()
    assert parts.thread_uid() not in uids
