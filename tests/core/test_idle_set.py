"""The set of idle slots against a plain list: it gives the slot returned last (or first), however others were taken."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.core.native import probe

parts = probe()


def rig_with(leased: int, oldest_first: bool = False) -> Any:
    rig = parts.Rig(leased, oldest_first=oldest_first)
    for index in range(leased):
        rig.grow()
        rig.move(index, "LEASED")
    return rig


class IdleSet(RuleBasedStateMachine):
    """`idle` is the model: the slots in the order in which they were returned."""

    @initialize(size=st.sampled_from([1, 2, 3, 8, 9, 30, 70]), oldest_first=st.booleans())
    def begin(self, size: int, oldest_first: bool) -> None:
        self.rig = rig_with(size, oldest_first)
        self.oldest_first = oldest_first
        self.leased = list(range(size))
        self.idle: list[int] = []

    @rule(pick=st.integers(0, 99))
    def give_back(self, pick: int) -> None:
        if self.leased:
            slot = self.leased.pop(pick % len(self.leased))
            self.rig.put(slot)
            self.idle.append(slot)

    @rule()
    def take(self) -> None:
        expected = self.idle.pop(0 if self.oldest_first else -1) if self.idle else None
        assert self.rig.take() == expected
        if expected is not None:
            self.leased.append(expected)

    @rule(pick=st.integers(0, 99), times=st.integers(1, 3))
    def retake(self, pick: int, times: int) -> None:
        """A thread takes its own slot past the stack, once or several times."""
        if not self.idle:
            return
        slot = self.idle.pop(pick % len(self.idle))
        for _ in range(times - 1):
            assert self.rig.grab(slot, self.rig.word(slot))
            self.rig.put(slot)
        assert self.rig.grab(slot, self.rig.word(slot))
        self.leased.append(slot)

    @rule()
    def give_all_back(self) -> None:
        while self.leased:
            self.give_back(0)

    @invariant()
    def in_order(self) -> None:
        if not hasattr(self, "rig"):
            return
        rig = self.rig
        stack = rig.stack()
        assert len(set(stack)) == len(stack), "an entry stands in the stack twice"
        assert self.oldest_first or set(self.idle) <= set(stack), "an idle slot cannot be found"
        assert {slot for slot in range(rig.size) if rig.listed(slot)} == set(stack)
        assert {rig.state(slot) for slot in self.idle} <= {"IDLE"}
        assert {rig.state(slot) for slot in self.leased} <= {"LEASED"}
        assert all(rig.spare_bits(slot) == 0 for slot in range(rig.size))
        count, warm = rig.warm
        assert count == len(warm)


TestIdleSet = IdleSet.TestCase
TestIdleSet.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


def test_last_in_first_out() -> None:
    rig = rig_with(5)
    for slot in (3, 1, 4, 0, 2):
        rig.put(slot)
    assert [rig.take() for _ in range(6)] == [2, 0, 4, 1, 3, None]


def test_first_in_first_out() -> None:
    rig = rig_with(5, oldest_first=True)
    for slot in (3, 1, 4, 0, 2):
        rig.put(slot)
    assert rig.grab(1, rig.word(1))
    rig.put(1)
    assert [rig.take() for _ in range(6)] == [3, 4, 0, 2, 1, None]
    assert (rig.head & 0xFFFFFFFF, rig.warm) == (0, (0, [])), "neither the stack nor the map is used"


def test_a_slot_retaken_from_below_is_the_last_returned_all_the_same() -> None:
    rig = rig_with(3)
    for slot in (0, 1, 2):
        rig.put(slot)
    assert rig.grab(0, rig.word(0))
    rig.put(0)
    assert rig.stack() == [2, 1, 0], "taken and returned without a change to the stack"
    assert rig.warm == (1, [0])
    assert rig.take() == 0
    assert rig.warm == (0, [])
    assert [rig.take() for _ in range(3)] == [2, 1, None]


def test_the_top_of_the_stack_retaken_writes_no_shared_line() -> None:
    rig = rig_with(2)
    rig.put(0)
    rig.put(1)
    head = rig.head
    for _ in range(10):
        assert rig.grab(1, rig.word(1))
        rig.put(1)
    assert (rig.head, rig.warm) == (head, (0, []))


def test_a_slot_that_is_always_retaken_heats_the_map_once() -> None:
    rig = rig_with(3)
    for slot in (0, 1, 2):
        rig.put(slot)
    for _ in range(10):
        assert rig.grab(0, rig.word(0))
        rig.put(0)
    assert rig.warm == (1, [0])


@pytest.mark.parametrize("size", [7, 8, 9, 24, 56, 57, 120, 121, 500])
def test_warm_slots_are_found_in_every_chunk(size: int) -> None:
    rig = rig_with(size)
    for slot in range(size):
        rig.put(slot)
    order = [slot for slot in range(size) if slot % 9 == size % 9]
    for slot in order:
        assert rig.grab(slot, rig.word(slot))
        rig.put(slot)
    assert [rig.take() for _ in order] == order[::-1]
    assert rig.warm == (0, [])
    rest = [slot for slot in range(size) if slot not in order]
    assert [rig.take() for _ in rest] == rest[::-1]
    assert rig.take() is None
