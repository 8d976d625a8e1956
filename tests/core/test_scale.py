"""A large pool costs no more than a small one: costs are counted in atomic accesses, so the figures are exact."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

import pytest

from fastpool._cli.compare.memory import resident
from tests.core.native import probe

parts = probe()

SMALL, LARGE = 8, 4096
MORE = 1.2  # how many times a small pool's cost a large one may have


def work(do: Callable[[], object]) -> int:
    """The atomic accesses of a call, without those of chance.

    The garbage collector is off, because its finalizers for cycles of earlier tests would be counted, too. The clock
    stands still, because now and then a reading of it renews what the next ones share: two accesses more.
    """
    gc.disable()
    parts.stop_clock(1)
    try:
        before = parts.accesses()
        do()
        return int(parts.accesses() - before)
    finally:
        parts.stop_clock(0)
        gc.enable()


def rig_with(idle: int, leased: int = 0) -> Any:
    """Slots that were all out, of which the first `idle` came back."""
    rig = parts.Rig(idle + leased)
    for index in range(idle + leased):
        rig.grow()
        rig.move(index, "LEASED")
    for index in range(idle):
        rig.put(index)
    return rig


def cycle(rig: Any) -> None:
    slot = rig.take()
    assert slot is not None
    rig.put(slot)


def retaken(rig: Any, slots: range, *, back: bool) -> None:
    """Threads that each use a slot of their own take it past the stack, repeatedly."""
    for slot in slots:
        assert rig.grab(slot, rig.word(slot))
        rig.put(slot)
    if not back:
        for slot in slots:
            assert rig.grab(slot, rig.word(slot))


@pytest.mark.parametrize("idle", [LARGE, 1], ids=["all idle", "all but one leased"])
def test_a_take_and_a_return(idle: int) -> None:
    assert work(lambda: cycle(rig_with(SMALL))) - work(lambda: rig_with(SMALL)) > 0
    small, large = rig_with(SMALL), rig_with(idle, LARGE - idle)
    assert work(lambda: cycle(large)) == work(lambda: cycle(small))


@pytest.mark.parametrize("idle", [LARGE, 1], ids=["all idle", "all but one leased"])
def test_an_own_slot_taken_again_and_returned(idle: int) -> None:
    def owned(rig: Any) -> Callable[[], None]:
        one = parts.Owner(rig, 7)

        def again() -> None:
            slot = one.retake()
            slot = rig.take() if slot is None else slot
            one.open(slot)
            one.shut(slot)
            rig.put(slot)

        again()
        return again

    assert work(owned(rig_with(idle, LARGE - idle))) == work(owned(rig_with(SMALL)))


def test_a_thread_that_never_used_the_pool_looks_at_no_table() -> None:
    def first(rig: Any) -> int:
        return work(parts.Owner(rig, 7).hint)

    assert first(rig_with(1, LARGE - 1)) == first(rig_with(SMALL))


def test_the_last_free_one_is_found_below_all_that_their_threads_took_past_the_stack() -> None:
    """4095 stale entries lie above it and all are warm. Each is popped once; the warm ones are compared once."""
    rig = rig_with(LARGE)
    retaken(rig, range(1, LARGE), back=False)
    assert rig.warm[0] >= LARGE - 2
    pushes = LARGE
    assert work(lambda: cycle(rig)) < 10 * pushes
    assert rig.stack() == [0]
    assert rig.warm == (0, [])
    small = rig_with(SMALL)
    assert work(lambda: cycle(rig)) == work(lambda: cycle(small))


def test_stale_entries_are_popped_once_for_each_time_they_were_pushed() -> None:
    """In any sequence of operations: the work of all together is linear in the number of steps."""
    for size in (64, 1024):
        rig, pick = rig_with(size), random.Random(size)
        out: list[int] = []
        idle = set(range(size))
        steps = 0

        def play(rig: Any = rig, pick: random.Random = pick, out: list[int] = out, idle: set[int] = idle) -> None:
            nonlocal steps
            for _ in range(3000):
                steps += 1
                what = pick.random()
                if what < 0.35 and idle:
                    slot = pick.choice(sorted(idle)[:32])
                    assert rig.grab(slot, rig.word(slot))
                    idle.remove(slot)
                    out.append(slot)
                elif what < 0.5 and idle:
                    slot = rig.take()
                    idle.remove(slot)
                    out.append(slot)
                elif out:
                    slot = out.pop(pick.randrange(len(out)))
                    rig.put(slot)
                    idle.add(slot)

        assert work(play) < steps * PER_STEP


WARM = 4 * 64  # to compare the warm ones: that many of them at most, whatever the pool's size
PER_STEP = 20 + WARM


@pytest.mark.parametrize("back", [True, False], ids=["idle", "leased"])
def test_a_thread_without_a_slot_compares_a_bounded_number_of_warm_ones(back: bool) -> None:
    costs = []
    for size in (512, LARGE):
        rig = rig_with(size)
        retaken(rig, range(size - 1), back=back)
        costs.append(work(rig.take))
    assert costs[0] == costs[1] <= 20 + WARM


def test_of_few_warm_slots_the_one_returned_last_is_found_wherever_it_is() -> None:
    rig = rig_with(LARGE)
    last = range(LARGE - 40, LARGE - 4)
    retaken(rig, last, back=True)
    assert [rig.take() for _ in last] == list(reversed(last))


def test_leaving_the_line_costs_the_same_wherever_one_stands_and_however_many_wait() -> None:
    costs = {}
    for waiters in (1_000, 10_000):
        rig = parts.Rig()
        line = [parts.Line(rig) for _ in range(waiters)]
        stood = work(lambda line=line: [one.enlist() for one in line])
        random.Random(waiters).shuffle(line)
        middle = waiters // 2
        timed_out = work(lambda some=line[:middle]: [(one.settle("TIMED_OUT"), one.leave()) for one in some])
        cancelled = work(lambda some=line[middle:]: [(one.settle("CANCELLED"), one.leave()) for one in some])
        assert rig.line == []
        costs[waiters] = (stood / waiters, timed_out / middle, cancelled / middle)
    assert costs[1_000] == costs[10_000]


def test_a_giver_skips_waiters_that_left_in_linear_time() -> None:
    costs = {}
    for waiters in (1_000, 10_000):
        rig = rig_with(0, 1)
        line = [parts.Line(rig) for _ in range(waiters)]
        for one in line:
            one.enlist()
            assert one.settle("TIMED_OUT")  # ... and has not left the line yet
        costs[waiters] = work(lambda rig=rig: rig.give(0)) / waiters
        assert rig.state(0) == "IDLE"
    assert costs[10_000] == pytest.approx(costs[1_000], rel=0.05)


def test_a_table_takes_no_memory_for_slots_that_are_not_used_yet() -> None:
    """The last chunk may be of any size. tests/pool/test_scale.py measures the Python side of a slot."""
    before = resident()
    if before is None:
        pytest.skip("this system does not say how much memory a process uses")
    size = 8 * ((1 << 13) - 1) + 1  # the last one is alone in a chunk of 65536
    rig = parts.Rig(size)
    for _ in range(size):
        rig.grow()
    after = resident()
    assert after is not None
    assert (after - before) / size <= parts.SLOT_BYTES + 40
    assert rig.table_bytes / size > 2 * parts.SLOT_BYTES - 1, "if it were all used"
