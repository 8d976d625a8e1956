"""The time of a checkout + checkin in threads, greenlets and tasks: alone, handed over, asked for again at once.

`python -m bench --only concurrency` compares the same pools in the same situations; here each is timed by itself.
gevent is not patched in here: its own queues need that as little as fastpool does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fastpool._cli.compare import concurrency, green_candidates
from fastpool._cli.compare.candidates import GEVENT_QUEUES, POOL, SIMPLE_QUEUE, STUBBED, Candidate
from fastpool._cli.compare.concurrency import SITUATIONS, Situation
from fastpool._cli.compare.ratios import Cycles

from .conftest import there

asyncio_candidates = pytest.importorskip("fastpool._cli.compare.asyncio_candidates")

CYCLES = 500

IN_THREADS = (POOL, SIMPLE_QUEUE, *(candidate for candidate in STUBBED if candidate.blocks))
IN_GREENLETS = (POOL, *GEVENT_QUEUES)
IN_TASKS = (asyncio_candidates.ASYNC_POOL, *asyncio_candidates.ASYNC_CANDIDATES)

situations = pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.name)


@contextmanager
def in_greenlets(situation: Situation, candidate: Candidate) -> Iterator[Cycles]:
    with candidate.build(situation.size, None) as cycles:
        yield green_candidates.together(cycles, situation.many, situation.rest, situation.apart)


def measure(benchmark: Any, model: str, situation: Situation, cycles: Cycles) -> None:
    benchmark.group = f"{situation.of(model)} ({CYCLES} cycles a round)"
    benchmark.pedantic(cycles, args=(CYCLES,), rounds=30, warmup_rounds=2)


@situations
@pytest.mark.parametrize("candidate", IN_THREADS, ids=lambda candidate: candidate.name)
def test_threads(benchmark: Any, candidate: Candidate, situation: Situation) -> None:
    with concurrency.in_threads(situation, None, there(candidate)) as cycles:
        measure(benchmark, "thread", situation, cycles)


@situations
@pytest.mark.parametrize("candidate", IN_GREENLETS, ids=lambda candidate: candidate.name)
def test_greenlets(benchmark: Any, candidate: Candidate, situation: Situation) -> None:
    there(GEVENT_QUEUES[0])
    with in_greenlets(situation, there(candidate)) as cycles:
        measure(benchmark, "greenlet", situation, cycles)


@situations
@pytest.mark.parametrize("candidate", IN_TASKS, ids=lambda candidate: candidate.name)
def test_tasks(benchmark: Any, candidate: Candidate, situation: Situation) -> None:
    with concurrency.in_tasks(situation, there(candidate)) as cycles:
        measure(benchmark, "task", situation, cycles)
