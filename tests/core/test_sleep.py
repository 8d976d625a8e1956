"""A thread's whole wait without the GIL."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.core.native import probe

parts = probe()


def rig_with_one_out() -> Any:
    rig = parts.Rig(1)
    rig.connected(rig.take_vacant())
    return rig


def until(condition: Any) -> None:
    """Poll, with a limit, for a condition that another thread makes true without a notification."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def in_line(rig: Any, threads: ThreadPoolExecutor, timeout_ns: int, how_many: int = 1) -> list[Future[Any]]:
    """That many threads, in line one after the other."""
    futures = []
    for _ in range(how_many):
        waiting = rig.waiting
        futures.append(threads.submit(rig.sleep, timeout_ns))
        until(lambda goal=waiting + 1: rig.waiting == goal)
    return futures


def test_a_slot_that_is_free_needs_no_sleep() -> None:
    rig = parts.Rig(1)
    assert rig.sleep(0) == (0, "slot")
    assert rig.state(0) == "CONNECTING"
    rig.connected(0)
    rig.give(0)
    assert rig.sleep(-1) == (0, "slot")
    assert rig.state(0) == "LEASED"
    assert rig.waits == 0


@pytest.mark.parametrize("timeout_ns", [0, 2_000_000])
def test_the_deadline(timeout_ns: int) -> None:
    rig = rig_with_one_out()
    began = time.monotonic_ns()
    assert rig.sleep(timeout_ns) == (None, "too late")
    assert time.monotonic_ns() - began >= timeout_ns
    assert (rig.line, rig.waiting, rig.waits) == ([], 0, 1 if timeout_ns else 0)
    rig.give(0)
    assert rig.take() == 0, "the slot stayed the pool's"


def test_first_come_first_served() -> None:
    rig = rig_with_one_out()
    with ThreadPoolExecutor(3) as threads:
        futures = in_line(rig, threads, -1, 3)
        for future in futures:
            rig.give(0)
            assert future.result(20) == (0, "slot")
    assert (rig.waiting, rig.waits) == (0, 3)


def test_closing_ends_it() -> None:
    rig = rig_with_one_out()
    with ThreadPoolExecutor(2) as threads:
        futures = in_line(rig, threads, -1, 2)
        rig.close()
        assert [future.result(20) for future in futures] == [(None, "closed")] * 2
    assert rig.sleep(-1) == (None, "closed")
    assert rig.waiting == 0


def test_a_thread_that_sleeps_has_let_the_gil_go() -> None:
    rig = rig_with_one_out()
    thread = threading.Thread(target=rig.sleep, args=(-1,))
    thread.start()
    until(lambda: rig.waiting == 1)  # this thread runs on
    rig.give(0)
    thread.join(20)
    assert not thread.is_alive()
