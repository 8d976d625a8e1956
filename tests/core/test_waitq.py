"""The line: first come, first served, leaving from any place, and the ownership of a waiter's memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.core.native import probe

parts = probe()


class Waiters(RuleBasedStateMachine):
    """`line` is the model: a list of the waiters."""

    @initialize()
    def begin(self) -> None:
        self.rig = parts.Rig()
        self.line: list[Any] = []
        self.gone: list[Any] = []

    @rule(front=st.booleans(), thread=st.booleans())
    def enlist(self, front: bool, thread: bool) -> None:
        one = parts.Line(self.rig, thread)
        assert one.refs == 1
        assert one.enlist(front) == len(self.line)
        assert one.refs == 2
        self.line.insert(0 if front else len(self.line), one)

    @rule(pick=st.integers(0, 99))
    def leave(self, pick: int) -> None:
        if self.line:
            one = self.line.pop(pick % len(self.line))
            assert one.leave()
            assert one.refs == 1, "the line has let go"
            self.gone.append(one)

    @rule()
    def pop(self) -> None:
        if self.line:
            self.line[0].pop()  # raises if another one was first
            self.gone.append(self.line.pop(0))
            assert self.gone[-1].refs == 2, "the giver has the line's share"

    @rule(pick=st.integers(0, 99))
    def leave_again(self, pick: int) -> None:
        if self.gone:
            assert not self.gone[pick % len(self.gone)].leave()

    @invariant()
    def as_the_model(self) -> None:
        if hasattr(self, "rig"):
            assert self.rig.line == [one.address for one in self.line]
            assert self.rig.waiting == len(self.line)


TestWaiters = Waiters.TestCase
TestWaiters.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def rig_and_slot() -> Any:
    rig = parts.Rig(1)
    rig.grow()
    rig.move(0, "LEASED")
    return rig


LEAVING = ("TIMED_OUT", "CANCELLED", "ABANDONED")


@pytest.mark.parametrize("outcome", LEAVING)
@pytest.mark.parametrize("thread", [False, True])
def test_the_waiter_wins_the_slot_stays_with_the_giver(outcome: str, thread: bool) -> None:
    rig = rig_and_slot()
    one = parts.Line(rig, thread)
    one.enlist()
    one.pop()  # the giver has it out of the line ...
    assert one.settle(outcome)  # ... when it decides to leave
    assert not one.give(0)
    assert one.take() is None
    assert one.state == outcome
    assert one.refs == 1
    assert not one.leave(), "the giver took it out of the line already"


@pytest.mark.parametrize("outcome", LEAVING)
@pytest.mark.parametrize("thread", [False, True])
def test_the_giver_wins_the_slot_is_the_waiters(outcome: str, thread: bool) -> None:
    rig = rig_and_slot()
    one = parts.Line(rig, thread)
    one.enlist()
    one.pop()
    assert one.give(0)
    assert not one.settle(outcome), "exactly one swap leaves WAITING"
    assert one.take() == 0
    assert one.take() is None, "once"
    assert one.state == "TAKEN"


@pytest.mark.parametrize("first", LEAVING)
@pytest.mark.parametrize("second", LEAVING)
def test_only_one_way_out(first: str, second: str) -> None:
    one = parts.Line(parts.Rig())
    assert one.settle(first)
    assert not one.settle(second)
    assert one.state == first


def test_a_thread_is_woken_by_its_lock_another_waiter_by_its_handle() -> None:
    rig = rig_and_slot()
    thread, other = parts.Line(rig, True), parts.Line(rig)
    thread.enlist()
    other.enlist()
    assert not thread.woken()
    assert rig.hand(0)
    assert thread.woken()
    assert (thread.take(), other.rung) == (0, 0)
    assert rig.hand(0)
    assert other.rung == 1
    assert other.take() == 0
    assert not rig.hand(0), "nobody waits"


def test_a_wake_that_fails_gives_the_slot_to_the_next_in_line() -> None:
    rig = rig_and_slot()
    deaf, next_one = parts.Line(rig, deaf=True), parts.Line(rig)
    deaf.enlist()
    next_one.enlist()
    assert rig.hand(0)
    assert (deaf.state, deaf.take(), deaf.refs) == ("REVOKED", None, 1)
    assert next_one.take() == 0
    assert rig.line == []


def test_a_deaf_waiter_that_looks_in_time_keeps_what_it_was_handed() -> None:
    """HANDED -> TAKEN and HANDED -> REVOKED are swaps of one word, too: here the waiter was faster."""
    rig = rig_and_slot()
    one = parts.Line(rig, deaf=True)
    one.enlist()
    one.pop()
    assert one.give(0)
    assert one.take() == 0
    assert one.state == "TAKEN"


def test_if_every_wake_fails_the_giver_still_has_the_slot() -> None:
    rig = rig_and_slot()
    deaf = [parts.Line(rig, deaf=True) for _ in range(3)]
    for one in deaf:
        one.enlist()
    rig.give(0)
    assert [one.state for one in deaf] == ["REVOKED"] * 3
    assert (rig.state(0), rig.waiting) == ("IDLE", 0)
    assert rig.take() == 0


def test_a_waiter_that_decided_to_leave_but_still_stands_in_line_is_skipped_and_rung_once() -> None:
    rig = rig_and_slot()
    leaving, next_one = parts.Line(rig), parts.Line(rig)
    leaving.enlist()
    next_one.enlist()
    assert leaving.settle("CANCELLED")  # ... and is not out of the line yet
    assert rig.hand(0)
    assert next_one.take() == 0
    assert leaving.rung == 1, "the line lets go of its object by ringing it, decided or not"
    assert not leaving.leave()
    assert leaving.refs == 1


def test_closing_sends_everyone_away() -> None:
    rig = rig_and_slot()
    everyone = [parts.Line(rig, thread) for thread in (True, False, True)]
    for one in everyone:
        one.enlist()
    assert everyone[1].settle("TIMED_OUT")
    rig.close()
    assert [one.state for one in everyone] == ["ABANDONED", "TIMED_OUT", "ABANDONED"]
    assert everyone[0].woken()
    assert everyone[2].woken()
    assert everyone[1].rung == 1
    assert (rig.line, rig.waiting) == ([], 0)
    assert [one.refs for one in everyone] == [1, 1, 1]
