"""Room for connections: vacant slots, permits to connect, the limit and what a resize does to it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.native import probe

parts = probe()


def connect(rig: Any) -> int:
    slot = rig.take_vacant()
    assert rig.state(slot) == "CONNECTING"
    rig.connected(slot)
    assert rig.state(slot) == "LEASED"
    return slot


def test_slots_come_into_the_game_one_by_one_up_to_the_limit() -> None:
    rig = parts.Rig(3)
    assert [connect(rig) for _ in range(3)] == [0, 1, 2]
    assert rig.take_vacant() is None
    assert rig.counts() == (3, 0, 3, 3)
    rig.give_vacant(1, False)
    assert rig.counts() == (2, 0, 3, 3)
    assert connect(rig) == 1, "room is used again before more slots are made"


def test_vacant_slots_are_a_stack_with_a_tag() -> None:
    rig = parts.Rig(3)
    for slot in [connect(rig) for _ in range(3)]:
        rig.give_vacant(slot, False)
    assert rig.vacant_stack() == [2, 1, 0]
    assert [rig.vacant_take() for _ in range(4)] == [2, 1, 0, None]


def test_an_idle_connection_is_preferred_to_room() -> None:
    rig = parts.Rig(3)
    slot = connect(rig)
    rig.give(slot)
    assert rig.take_free() == slot
    assert rig.state(slot) == "LEASED"
    other = rig.take_free()
    assert rig.state(other) == "CONNECTING"


def test_no_more_connects_at_once_than_permits() -> None:
    rig = parts.Rig(8, 2)
    assert [rig.take_vacant() for _ in range(3)] == [0, 1, None]
    assert rig.counts() == (2, 2, 2, 8)
    rig.connected(0)
    assert rig.take_vacant() == 2
    rig.give_vacant(1, True)
    assert rig.counts() == (2, 1, 3, 8)
    assert rig.take_vacant() == 1


def test_a_permit_given_back_lets_the_next_in_line_connect() -> None:
    rig = parts.Rig(2, 1)
    assert rig.take_vacant() == 0
    one = parts.Line(rig)
    one.enlist()
    rig.settle()
    assert one.take() is None
    rig.connected(0)
    slot = one.take()
    assert rig.state(slot) == "CONNECTING"
    assert rig.counts()[1] == 1, "the permit goes with the slot"


def test_a_failed_connect_gives_room_and_permit_to_the_next_in_line() -> None:
    rig = parts.Rig(1, 1)
    assert rig.take_vacant() == 0
    one = parts.Line(rig)
    one.enlist()
    rig.settle()
    rig.give_vacant(0, True)
    assert one.take() == 0
    assert rig.state(0) == "CONNECTING"
    assert rig.counts() == (1, 1, 1, 1)


def test_what_a_waiter_cannot_use_goes_on_as_it_is() -> None:
    rig = parts.Rig(1, 1)
    late, next_one = parts.Line(rig), parts.Line(rig)
    rig.take_vacant()
    late.enlist()
    next_one.enlist()
    rig.give_vacant(0, True)
    rig.give_on(late.take())
    assert next_one.take() == 0
    assert rig.state(0) == "CONNECTING"
    assert rig.counts() == (1, 1, 1, 1)


def test_a_shrink_swallows_vacant_slots_at_once_and_the_others_as_they_come() -> None:
    rig = parts.Rig(4)
    slots = [connect(rig) for _ in range(4)]
    rig.give_vacant(slots[0], False)
    rig.resize(2)
    assert rig.vacant_stack(gone=True) == [0]
    assert rig.counts() == (3, 0, 3, 2)
    rig.give_vacant(1, False)
    assert rig.vacant_stack(gone=True) == [1, 0]
    rig.give_vacant(2, False)
    assert rig.vacant_stack() == [2], "two are left: this one and the one still out"
    assert rig.counts() == (1, 0, 2, 2)


def test_a_shrink_needs_no_permit_to_connect() -> None:
    rig = parts.Rig(3, 1)
    for slot in [connect(rig) for _ in range(2)]:
        rig.give_vacant(slot, False)
    assert rig.take_vacant() is not None  # the only permit is out
    rig.resize(1)
    assert len(rig.vacant_stack(gone=True)) == 1
    assert rig.counts()[2] == 1


def test_a_slot_that_became_vacant_while_the_pool_shrank_is_taken_out_of_use() -> None:
    rig = parts.Rig(2)
    first, second = connect(rig), connect(rig)
    rig.move(second, "VACANT")  # its holder saw no shrink ...
    rig.resize(1)  # ... the pool shrank ...
    rig.vacant_put(second)  # ... and then it was pushed
    assert rig.take_vacant() is None, "one connection is out, one is allowed"
    assert rig.state(second) == "GONE"
    assert rig.counts()[1:] == (0, 1, 1), "no permit was lost on the way"
    rig.give(first)
    assert rig.take_free() == first


def test_growing_again_uses_removed_slots_before_new_ones_are_made() -> None:
    rig = parts.Rig(4)
    for slot in [connect(rig) for _ in range(4)]:
        rig.give_vacant(slot, False)
    rig.resize(1)
    assert rig.size == 4
    rig.resize(4)
    assert {connect(rig) for _ in range(4)} == {0, 1, 2, 3}
    assert rig.size == 4


def test_growth_serves_the_waiters() -> None:
    rig = parts.Rig(1)
    connect(rig)
    waiters = [parts.Line(rig) for _ in range(3)]
    for one in waiters:
        one.enlist()
        rig.settle()
    rig.resize(3)
    rig.settle()
    assert [one.take() for one in waiters] == [1, 2, None], "first come, first served"


def test_a_giver_serves_the_first_in_line_before_itself() -> None:
    rig = parts.Rig(1)
    slot = connect(rig)
    first, second = parts.Line(rig), parts.Line(rig)
    first.enlist()
    second.enlist()
    epoch = rig.epoch(slot)
    rig.give(slot)
    assert first.take() == slot
    assert rig.epoch(slot) > epoch, "the next lease is another one"
    rig.give(slot)
    assert second.take() == slot
    rig.give(slot)
    assert (rig.state(slot), rig.take()) == ("IDLE", slot)


DOINGS = ("connect", "fail", "give", "discard", "take", "grow", "shrink")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DOINGS), st.integers(0, 9))))
def test_whatever_is_done_the_books_are_right(steps: list[tuple[str, int]]) -> None:
    rig = parts.Rig(3, 2)
    out: list[int] = []
    connecting: list[int] = []
    for what, pick in steps:
        if what == "connect" and (slot := rig.take_vacant()) is not None:
            connecting.append(slot)
        elif what == "take" and (slot := rig.take()) is not None:
            out.append(slot)
        elif what == "fail" and connecting:
            rig.give_vacant(connecting.pop(pick % len(connecting)), True)
        elif what == "give" and connecting:
            rig.connected(connecting[-1])
            rig.give(connecting.pop())
        elif what in ("give", "discard") and out:
            slot = out.pop(pick % len(out))
            if what == "give":
                rig.give(slot)
            else:
                rig.give_vacant(slot, False)
        elif what in ("grow", "shrink"):
            rig.resize(3 + pick if what == "grow" else 1)
            rig.settle()
        states = [rig.state(slot) for slot in range(rig.size)]
        opened, permits, active, limit = rig.counts()
        idle = states.count("IDLE")
        assert opened == len(out) + len(connecting) + idle
        assert permits == len(connecting) <= 2
        assert active == len(states) - states.count("GONE")
        assert active <= max(limit, len(out) + len(connecting) + idle)
        assert sorted(rig.vacant_stack()) == [i for i, state in enumerate(states) if state == "VACANT"]
        assert sorted(rig.vacant_stack(gone=True)) == [i for i, state in enumerate(states) if state == "GONE"]


@pytest.mark.parametrize("size", [100, 65535])
def test_a_large_pool_fills_and_empties(size: int) -> None:
    rig = parts.Rig(size)
    slots = [connect(rig) for _ in range(size)]
    assert slots == list(range(size))
    assert rig.take_free() is None
    for slot in slots:
        rig.give(slot)
    assert [rig.take_free() for _ in range(3)] == [size - 1, size - 2, size - 3]
