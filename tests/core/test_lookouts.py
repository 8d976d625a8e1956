"""A few threads in line look for leaks for all: which they are, and which replace them when they leave."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.core.native import probe

parts = probe()
LOOKOUTS = 4


class Duty(RuleBasedStateMachine):
    """While a thread that can look stands in line, at least one looks, and knows that it does."""

    @initialize()
    def begin(self) -> None:
        self.rig = parts.Rig()
        self.line: list[Any] = []
        self.gone: list[Any] = []
        self.threads: set[int] = set()
        self.told: set[int] = set()  # threads that know that they are lookouts

    @rule(front=st.booleans(), kind=st.sampled_from(["may look", "may look", "thread", "task"]))
    def enlist(self, front: bool, kind: str) -> None:
        one = parts.Line(self.rig, kind != "task", may_look=kind == "may look")
        one.enlist(front)
        self.line.insert(0 if front else len(self.line), one)
        if kind == "may look":
            self.threads.add(one.address)
        if one.lookout:
            self.told.add(one.address)  # it has not slept yet

    @rule(pick=st.integers(0, 99), popped=st.booleans())
    def goes(self, pick: int, popped: bool) -> None:
        if self.line:
            one = self.line.pop(0 if popped else pick % len(self.line))
            if popped:
                one.pop()
            else:
                assert one.leave()
            self.gone.append(one)
            self.told.discard(one.address)
            self.threads.discard(one.address)
            for other in self.line:
                if other.address in self.threads and other.woken():
                    assert other.lookout, "it was woken for nothing"
                    self.told.add(other.address)

    @invariant()
    def a_lookout_looks(self) -> None:
        if hasattr(self, "rig"):
            lookouts = {one.address for one in self.line if one.lookout}
            assert lookouts <= self.threads
            assert min(1, len(self.threads)) <= len(lookouts) <= LOOKOUTS
            assert lookouts == self.told, "a lookout sleeps until its own deadline"
            assert not any(one.lookout for one in self.gone)


TestDuty = Duty.TestCase
TestDuty.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def in_line(rig: Any, count: int) -> list[Any]:
    line = [parts.Line(rig, True, may_look=True) for _ in range(count)]
    for one in line:
        one.enlist()
    return line


def lookouts(line: list[Any]) -> list[int]:
    return [number for number, one in enumerate(line) if one.lookout]


def test_the_duty_goes_to_the_last_in_line_when_the_last_lookout_leaves() -> None:
    line = in_line(parts.Rig(), 7)
    assert lookouts(line) == [0, 1, 2, 3]
    for one in line[:3]:
        assert one.leave()
    assert lookouts(line) == [3], "there is one still"
    assert line[3].leave()
    assert lookouts(line) == [6]
    assert [one.woken() for one in line[4:]] == [False, False, True]


def test_the_duty_goes_on_when_the_last_lookout_is_served() -> None:
    rig = parts.Rig(1)
    rig.connected(rig.take_vacant())
    line = in_line(rig, 6)
    for one in line[:4]:
        rig.give(0)
        assert one.woken()
        assert one.take() == 0
    assert lookouts(line) == [5]
    assert [one.woken() for one in line[4:]] == [False, True]


def test_an_heir_that_is_about_to_leave_passes_the_duty_on() -> None:
    line = in_line(parts.Rig(), 6)
    assert line[5].settle("TIMED_OUT")  # ... but is still in line
    for one in line[:4]:
        one.leave()
    assert lookouts(line) == [5]
    assert line[5].leave()
    assert lookouts(line) == [4]
    assert line[4].woken()


def test_a_waiter_that_comes_while_there_are_few_lookouts_becomes_one() -> None:
    rig = parts.Rig()
    line = in_line(rig, 5)
    for one in line[:2]:
        one.leave()
    late = in_line(rig, 3)
    assert lookouts(line) == [2, 3]
    assert lookouts(late) == [0, 1]


def test_a_lock_is_released_once_for_several_reasons_to_wake() -> None:
    """Two releases without an acquire between them are an error with some kinds of locks."""
    rig = parts.Rig(1)
    rig.connected(rig.take_vacant())
    (one,) = in_line(rig, 1)
    one.ring()
    rig.give(0)
    one.ring()
    assert one.woken()
    assert one.take() == 0
    assert not one.woken(), "it was let go a second time"
    one.ring()
    assert one.woken(), "news that comes later wakes again"


def test_everybody_is_woken_once_when_the_clock_is_stopped() -> None:
    rig = parts.Rig()
    line = in_line(rig, 6)
    rig.mind_clock()
    assert not any(one.woken() for one in line)
    parts.stop_clock(10**9)
    try:
        for _ in range(2):
            rig.mind_clock()
        assert all(one.woken() for one in line)
        parts.stop_clock(2 * 10**9)  # moved: sleepers use short slices by now
        rig.mind_clock()
        assert not any(one.woken() for one in line)
        parts.stop_clock(0)
        parts.stop_clock(10**9)
        rig.mind_clock()
        assert all(one.woken() for one in line), "stopped anew"
    finally:
        parts.stop_clock(0)


@pytest.mark.parametrize("left", [0, 4])
def test_native_sleepers_notice_a_clock_that_is_moved(left: int) -> None:
    """Eight threads sleep for a year; `left` of them, the only lookouts, leave first."""
    year = 365 * 24 * 3600 * 10**9
    rig = parts.Rig(1)
    rig.connected(rig.take_vacant())

    def until_waiting(count: int) -> None:
        end = time.monotonic() + 20
        while rig.waiting != count:
            assert time.monotonic() < end
            time.sleep(0.001)

    with ThreadPoolExecutor(8) as threads:
        sleeping = []
        for number in range(8):
            sleeping.append(threads.submit(rig.sleep, year))
            until_waiting(number + 1)
        try:
            for number in range(left):
                rig.give(0)
                assert sleeping[number].result(20) == (0, "slot")
            parts.stop_clock(time.monotonic_ns() + 2 * year)
            for one in sleeping[left:]:
                assert one.result(20) == (None, "too late")
        finally:
            parts.stop_clock(0)
            rig.close()
