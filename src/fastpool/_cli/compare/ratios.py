"""Ratios of two times: both sides take turns, and the median counts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from time import get_clock_info, perf_counter_ns, thread_time_ns

Cycles = Callable[[int], None]
"""Does something this many times."""

Clock = Callable[[], int]
"""Gives nanoseconds."""

# What one thread does alone is timed in its own processor time: the time of other processes is not its cost.
OWN_TIME: Clock = thread_time_ns if get_clock_info("thread_time").resolution <= 1e-6 else perf_counter_ns
WALL_TIME: Clock = perf_counter_ns

ROUNDS = 40
CYCLES = 10_000


@dataclass(frozen=True)
class Effort:
    """How long to look: ``rounds`` of ``cycles`` for what is timed alone, ``turns`` of ``seconds`` over loopback."""

    rounds: int = ROUNDS
    cycles: int = CYCLES
    turns: int = 5
    seconds: float = 1.0


_LEAST_CYCLES = 50


@dataclass(frozen=True)
class Ratio:
    """``times`` is the median over the rounds of theirs / ours; ``low`` and ``high`` are its quartiles."""

    times: float
    low: float
    high: float
    ours_ns: float
    theirs_ns: float
    rounds: int


def interleaved(
    ours: Cycles, theirs: Cycles, *, rounds: int = ROUNDS, cycles: int = CYCLES, clock: Clock = OWN_TIME
) -> Ratio:
    """Time both alternately and compare within each round, so that a machine that slows down slows down both.

    :param rounds: how many; the side that begins changes from round to round.
    :param cycles: of our side per round; the other side gets about as much time, and at least 50 cycles.
    :param clock: ``WALL_TIME`` for sides that work or wait in other threads.
    """
    if rounds < 2:
        raise ValueError(f"'rounds' must be at least 2, not {rounds!r}")
    ours(cycles)
    theirs(_LEAST_CYCLES)
    one = timed(theirs, _LEAST_CYCLES, clock)
    their_cycles = min(cycles, max(_LEAST_CYCLES, round(cycles * timed(ours, cycles, clock) / max(1.0, one))))
    samples: list[tuple[float, float]] = []
    for turn in range(rounds):
        if turn % 2:
            b = timed(theirs, their_cycles, clock)
            a = timed(ours, cycles, clock)
        else:
            a = timed(ours, cycles, clock)
            b = timed(theirs, their_cycles, clock)
        samples.append((a, b))
    times = [b / a for a, b in samples]
    low, _, high = quantiles(times, n=4)
    return Ratio(median(times), low, high, median(a for a, _ in samples), median(b for _, b in samples), rounds)


def timed(side: Cycles, cycles: int, clock: Clock) -> float:
    """ns of one of ``n`` cycles; the garbage collector does not run meanwhile."""
    with no_collector():
        return _one(side, cycles, clock)


def _one(side: Cycles, cycles: int, clock: Clock) -> float:
    begin = clock()
    side(cycles)
    return (clock() - begin) / cycles


def least(ours: Cycles, theirs: Cycles, *, rounds: int, cycles: int, clock: Clock = OWN_TIME) -> tuple[float, float]:
    """The least ns of one cycle of ours, and of theirs, over rounds in which both take turns.

    The garbage collector runs: what it has to look at is a part of what a cycle makes. Older objects are kept out of
    its sight.
    """
    ours(cycles)
    theirs(cycles)
    gc.collect()
    gc.freeze()
    try:
        turns = [(_one(theirs, cycles, clock), _one(ours, cycles, clock)) for _ in range(rounds)]
    finally:
        gc.unfreeze()
    best_theirs, best_ours = map(min, zip(*turns, strict=True))
    return best_ours, best_theirs


@contextmanager
def no_collector() -> Iterator[None]:
    """Turn the garbage collector off, whose cost depends on the other objects of the process."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
