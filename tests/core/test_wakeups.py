"""No wake-up is lost: in every interleaving of a waiter with each operation that frees capacity, the slot is handed
over.

Each side is a list of steps. The waiter counts itself in and then looks at the free sets; the other side frees
something and then looks at the gate. All merges of the two lists are played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest

from tests.core.native import probe

parts = probe()
Steps = list[Callable[[], Any]]


def merges(one: Steps, other: Steps) -> Iterator[Steps]:
    """Every merge of the two lists that keeps the order of each."""
    total = len(one) + len(other)
    for places in combinations(range(total), len(one)):
        a, b = iter(one), iter(other)
        yield [next(a) if place in places else next(b) for place in range(total)]


def count_of_merges(one: int, other: int) -> int:
    return len(list(merges([int] * one, [int] * other)))


def rig_with(limit: int, *, leased: int = 0, connecting: int = 0, permits: int = 8) -> Any:
    """A pool of which that many slots are leased, and that many are connecting."""
    rig = parts.Rig(limit, permits)
    for _ in range(leased):
        slot = rig.take_vacant()
        rig.connected(slot)
    for _ in range(connecting):
        assert rig.take_vacant() is not None
    return rig


def waits(rig: Any, **kind: Any) -> tuple[Any, Steps]:
    one = parts.Line(rig, **kind)
    return one, [one.enlist, rig.settle]


def returns(rig: Any, slot: int) -> Steps:
    """The steps of a `pool_give` that saw no waiter when it began."""
    to_push: list[bool] = []
    return [
        lambda: to_push.append(rig.publish(slot)),
        lambda: rig.push(slot) if to_push[0] else None,
        rig.settle,
    ]


def retaken_and_returned(rig: Any, slot: int) -> Steps:
    """The steps of `returns` while the slot's entry is in the stack: publishing alone makes it free, unless the entry
    was popped."""
    rig.put(slot)
    assert rig.grab(slot, rig.word(slot))
    return returns(rig, slot)


CASES: dict[str, Callable[[], tuple[Any, Steps]]] = {}


def case(function: Callable[[], tuple[Any, Steps]]) -> Callable[[], tuple[Any, Steps]]:
    CASES[function.__name__] = function
    return function


@case
def a_return() -> tuple[Any, Steps]:
    rig = rig_with(1, leased=1)
    return rig, returns(rig, 0)


@case
def a_return_without_an_entry_to_push() -> tuple[Any, Steps]:
    rig = rig_with(1, leased=1)
    return rig, retaken_and_returned(rig, 0)


@case
def a_discard() -> tuple[Any, Steps]:
    rig = rig_with(1, leased=1)
    rig.move(0, "RETIRING")
    return rig, [lambda: rig.give_vacant(0, False)]


@case
def a_failed_connect() -> tuple[Any, Steps]:
    rig = rig_with(1, connecting=1)
    return rig, [lambda: rig.give_vacant(0, True)]


@case
def a_permit_that_comes_back() -> tuple[Any, Steps]:
    rig = rig_with(2, connecting=1, permits=1)  # there is room for a second connection, but no permit to open it
    return rig, [lambda: rig.move(0, "LEASED"), rig.permit_drop, rig.settle]


@case
def a_growth() -> tuple[Any, Steps]:
    rig = rig_with(1, leased=1)
    return rig, [lambda: rig.resize(2), rig.settle]


@case
def a_waiter_that_cannot_use_what_it_was_handed() -> tuple[Any, Steps]:
    rig = rig_with(1, leased=1)
    early = parts.Line(rig)
    early.enlist()

    def cancelled_too_late() -> None:
        assert not early.settle("CANCELLED")
        rig.give_on(early.take())

    return rig, [lambda: rig.give(0), cancelled_too_late]


@case
def two_returns_at_once() -> tuple[Any, Steps]:
    rig = rig_with(2, leased=2)
    first, second = returns(rig, 0), retaken_and_returned(rig, 1)
    return rig, [first[0], second[0], second[1], second[2], first[1], first[2]]


@pytest.mark.parametrize("thread", [False, True])
@pytest.mark.parametrize("name", sorted(CASES))
def test_every_interleaving_serves_the_waiter(name: str, thread: bool) -> None:
    _, steps = CASES[name]()
    for which in range(count_of_merges(2, len(steps))):
        rig, other = CASES[name]()
        one, mine = waits(rig, thread=thread)
        for step in list(merges(mine, other))[which]:
            step()
        assert one.take() is not None, f"interleaving {which}: asleep while there is something free"
        assert rig.waiting == 0
        assert one.refs == 1


@pytest.mark.parametrize("frees", ["a_return", "a_discard", "a_failed_connect", "a_return_without_an_entry_to_push"])
def test_two_wait_and_one_slot_comes_exactly_one_is_served(frees: str) -> None:
    for which in range(count_of_merges(4, len(CASES[frees]()[1]))):
        rig, other = CASES[frees]()
        first, steps = waits(rig)
        second, more = waits(rig)
        for step in list(merges(steps + more, other))[which]:
            step()
        assert (first.take() is None) + (second.take() is None) == 1
        assert rig.waiting == 1


def test_a_slot_in_hand_while_the_line_was_empty_goes_to_a_waiter_that_came_meanwhile() -> None:
    """`settle` takes a slot, finds the line empty, puts it back, and looks at the gate once more."""
    rig = rig_with(1, leased=1)
    gone, late = parts.Line(rig), parts.Line(rig)
    rig.put(0)
    gone.enlist()
    slot = rig.take_free()  # the settler has the slot in its hands ...
    assert gone.settle("TIMED_OUT")
    assert gone.leave()
    late.enlist()
    rig.settle()  # ... when this waiter looks at the free sets: nothing there
    assert late.take() is None
    assert rig.hand(slot), "the settler tries the line: the late one is there"
    assert late.take() == 0


def test_without_a_second_look_a_waiter_would_sleep() -> None:
    """The interleavings above find a lost wake-up if one side leaves out its second step, so the test can fail."""
    rig, steps = a_return()
    one, mine = waits(rig)
    steps[0]()
    mine[0]()
    assert one.take() is None
    assert rig.state(0) == "IDLE"
