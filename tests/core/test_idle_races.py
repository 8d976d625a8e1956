"""Two threads at the idle set, step by step: in every order a slot has one owner and one entry."""

from __future__ import annotations

from typing import Any

from tests.core.native import probe

parts = probe()


def rig_with(*idle: int, leased: int = 0) -> Any:
    """Slots in the set in this order, then `leased` more that are not in it."""
    rig = parts.Rig(8)
    for index in range(len(idle) + leased):
        rig.grow()
        rig.move(index, "LEASED")
    for slot in idle:
        rig.put(slot)
    return rig


def retake(rig: Any, slot: int) -> None:
    assert rig.grab(slot, rig.word(slot))


def drain(rig: Any) -> list[int]:
    found = []
    while (slot := rig.take()) is not None:
        found.append(slot)
    return found


def test_an_entry_popped_while_its_slot_is_out_goes_to_the_popper_if_the_slot_comes_back_first() -> None:
    rig = rig_with(0)
    retake(rig, 0)  # the owner has it past the stack; its entry stays
    assert rig.pop() == 0
    assert not rig.publish(0), "the owner sees LISTED and leaves the entry to the popper"
    assert rig.unlist(0), "... which therefore takes the slot"
    assert rig.state(0) == "LEASED"
    assert drain(rig) == []
    rig.put(0)
    assert drain(rig) == [0]


def test_an_entry_popped_while_its_slot_is_out_is_dropped_if_the_popper_is_first() -> None:
    rig = rig_with(0)
    retake(rig, 0)
    assert rig.pop() == 0
    assert not rig.unlist(0)
    assert not rig.listed(0)
    assert rig.publish(0), "the owner must push an entry of its own"
    rig.push(0)
    assert rig.stack() == [0]
    assert drain(rig) == [0]


def test_between_publishing_and_pushing_the_slot_may_come_and_go() -> None:
    rig = rig_with(leased=1)
    assert rig.publish(0)
    assert rig.take() is None, "its entry is still in the pusher's hands"
    retake(rig, 0)
    assert not rig.publish(0), "the second thread that returns it sees LISTED: the first will push"
    rig.push(0)
    assert rig.stack() == [0]
    assert drain(rig) == [0]


def test_listed_is_turned_on_in_the_step_that_publishes() -> None:
    """LISTED was once set in a second step; a thread that took the slot in between pushed a second entry."""
    rig = rig_with(0)
    retake(rig, 0)
    assert rig.pop() == 0
    assert not rig.unlist(0)  # stale: dropped
    assert rig.publish(0)  # A published, and has not pushed yet
    assert rig.listed(0), "nobody can find it unlisted"
    retake(rig, 0)  # B takes it past the stack
    assert not rig.publish(0)  # and returns it
    rig.push(0)  # A goes on
    assert rig.spare_bits(0) == 0
    assert rig.stack() == [0], "one entry"


def test_a_slot_popped_with_its_entry_while_its_owner_grabs_it() -> None:
    rig = rig_with(0)
    seen = rig.word(0)
    assert rig.pop() == 0  # the popper has the entry ...
    assert rig.grab(0, seen)  # ... the owner has the slot
    assert not rig.unlist(0)
    assert rig.publish(0)
    rig.push(0)
    assert drain(rig) == [0]

    rig.put(0)
    seen = rig.word(0)
    assert rig.pop() == 0
    assert rig.unlist(0)
    assert not rig.grab(0, seen), "and the other way round"


def test_a_head_that_looks_the_same_is_the_same() -> None:
    rig = rig_with(0, 1, 2)
    head = rig.head  # another thread is about to pop 2, with 1 below it
    assert [rig.take(), rig.take()] == [2, 1]
    rig.put(2)  # on top again, but 0 is below it now
    assert rig.stack() == [2, 0]
    assert rig.head & 0xFFFFFFFF == head & 0xFFFFFFFF
    assert rig.pop(head) is None, "the tag tells them apart; 1, which is out, must not come back as the top"
    assert drain(rig) == [2, 0]


def test_two_poppers_get_different_entries() -> None:
    rig = rig_with(0, 1)
    head = rig.head
    assert rig.pop(head) == 1
    assert rig.pop(head) is None
    assert rig.pop() == 0
    assert rig.unlist(0)
    assert rig.unlist(1)


def test_a_stale_entry_on_top_hides_nothing() -> None:
    rig = rig_with(0, 1, 2)
    retake(rig, 2)
    retake(rig, 1)
    assert rig.stack() == [2, 1, 0]
    assert rig.take() == 0
    assert rig.stack() == []
    rig.put(1)
    rig.put(2)
    assert drain(rig) == [2, 1]


def test_an_entry_in_hand_is_no_entry_to_anyone_else() -> None:
    """Another thread finds nothing while a popper holds the last entry; the popper gets the slot."""
    rig = rig_with(0)
    assert rig.pop() == 0
    assert rig.take() is None
    assert rig.unlist(0)
    rig.put(0)
    assert drain(rig) == [0]
