"""The whole core under many native threads, plain and under sanitizers.

tests/_stress.pyx says what the threads do, and what is checked whenever they are all at rest. test_stress_faults.py
shows that it finds faults.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from itertools import cycle, product

import pytest

from tests.core.native import program
from tests.core.stressing import SOURCE, operations, stress

KINDS = ["plain", "thread", "address"]
SHAPES = [(2, 1), (3, 1), (3, 2), (8, 4), (16, 3), (4, 8)]  # threads, connections at most
WANTED = int(os.environ.get("FASTPOOL_STRESS_OPERATIONS", 200_000_000))  # of a long run, per kind


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
def test_many_threads_find_nothing_wrong(kind: str) -> None:
    path = program(kind, SOURCE)
    total: Counter[str] = Counter()
    for seed, shape in enumerate(SHAPES):
        run = stress(path, shape, rounds=150 if kind == "thread" else 300, seed=seed, hot=200)
        assert not run.found, run.found
        total += run.counts
    # every kind of operation happened, or the run would say little
    seldom = {name: times for name, times in total.items() if times < 20}
    assert len(total) == 12 and not seldom, total
    assert operations(total) > 100_000


@pytest.mark.stress
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("kind", KINDS)
def test_hundreds_of_millions_of_operations(kind: str) -> None:
    path = program(kind, SOURCE)
    total: Counter[str] = Counter()
    began = time.monotonic()
    # most operations come from long runs of the fast path, most meetings of threads from short ones
    for seed, (shape, hot) in enumerate(cycle(product(SHAPES, (5000, 20))), 1000):
        run = stress(path, shape, rounds=50, seed=seed, hot=hot)
        assert not run.found, run.found
        total += run.counts
        if operations(total) >= WANTED:
            break
    seconds = time.monotonic() - began
    print(f"{kind}: {operations(total):,} operations in {seconds:.0f} s, {operations(total) / seconds:,.0f}/s; {total}")
