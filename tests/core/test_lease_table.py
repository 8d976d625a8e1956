"""Which slots a thread holds, and which pools it remembers having used: never too few."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.native import probe

parts = probe()


def rig_with(idle: int) -> Any:
    rig = parts.Rig(idle)
    for index in range(idle):
        rig.grow()
        rig.move(index, "LEASED")
    for index in reversed(range(idle)):
        rig.put(index)
    return rig


def test_a_lease_is_entered_with_its_owner_and_counted() -> None:
    rig = rig_with(1)
    one = parts.Owner(rig, 7)
    slot = rig.take()
    one.open(slot)
    assert one.seen(slot) == (7, 1, 1, 0)
    assert (one.held, one.leases()) == (1, 1)
    one.shut(slot)
    rig.put(slot)
    assert one.seen(slot) == (0, 1, 1, 1)
    assert (one.held, one.leases()) == (0, 0)


def test_a_thread_takes_its_own_last_slot_first() -> None:
    rig = rig_with(3)
    one, other = parts.Owner(rig, 1), parts.Owner(rig, 2)
    mine, theirs = rig.take(), rig.take()
    one.open(mine)
    other.open(theirs)
    for who, slot in ((one, mine), (other, theirs)):
        who.shut(slot)
        rig.put(slot)
    assert one.retake() == mine, "though the other one was returned last"
    assert one.retake() is None, "it is out"
    assert other.retake() == theirs


def test_a_hint_that_is_not_idle_any_more_is_not_taken() -> None:
    rig = rig_with(1)
    one = parts.Owner(rig, 1)
    assert one.retake() is None, "no hint yet"
    slot = rig.take()
    one.open(slot)
    one.shut(slot)
    rig.put(slot)
    assert rig.take() == slot  # another thread
    assert one.retake() is None
    rig.give_vacant(slot, False)
    assert one.retake() is None


def test_nothing_held_is_always_true_when_said() -> None:
    rig = rig_with(2)
    one, other = parts.Owner(rig, 1), parts.Owner(rig, 2)
    slot = rig.take()
    one.open(slot)
    other.shut(slot)  # another thread returns it
    rig.put(slot)
    assert one.leases() == 0
    assert one.held == 1, "too high, which costs a look at the table"
    assert other.held == 0, "and never below zero"


def test_a_return_by_a_thread_that_never_used_the_pool() -> None:
    rig = rig_with(1)
    one, stranger = parts.Owner(rig, 1), parts.Owner(rig, 2)
    slot = rig.take()
    one.open(slot)
    stranger.shut(slot)
    rig.put(slot)
    assert stranger.hint() is None, "it remembers nothing, and that is not made up"


def test_pools_that_share_a_place_in_memory_take_turns_and_count_again() -> None:
    rig = rig_with(3)
    one = parts.Owner(rig, 1)
    assert one.hint() is None
    held = [rig.take(), rig.take()]
    for slot in held:
        one.open(slot)
    assert one.hint() == (held[1], 2)
    pool = int(rig.pool_id)
    assert one.hint(pool + parts.HINTS_KEPT) is None, "another pool takes the place"
    assert one.hint() is None, "forgotten"
    assert one.held == 2, "and counted again in the table"
    assert one.hint() == (None, 2)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["take", "give", "forget"]), st.integers(0, 9))))
def test_held_is_never_too_low(steps: list[tuple[int, str, int]]) -> None:
    rig = rig_with(4)
    owners = {uid: parts.Owner(rig, uid) for uid in (1, 2, 3)}
    out: list[int] = []
    for uid, what, pick in steps:
        if what == "take" and (slot := rig.take()) is not None:
            owners[uid].open(slot)
            out.append(slot)
        elif what == "give" and out:
            slot = out.pop(pick % len(out))
            owners[uid].shut(slot)  # from any thread
            rig.put(slot)
        elif what == "forget":
            owners[uid].hint(rig.pool_id + parts.HINTS_KEPT * (1 + pick))
        for one in owners.values():
            assert one.held >= one.leases()
        assert sum(one.leases() for one in owners.values()) == len(out)
