"""Threads, greenlets and tasks: what a checkout costs in each, beside the usual pools and queues there.

There are three situations. *Alone*: one of them, connections are free. *Handed over*: four on two connections, each
lets the others run while it holds and after the return, so that both sides hand every connection to a waiter. *Asked
for again at once*: without a rest after the return, where a queue lets the caller that has just returned a connection
take it again, past the waiters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import Any

from .candidates import CONNECTION_POOL, HAPPYBASE, POOL, SIMPLE_QUEUE, STUBBED, Address, Candidate, missing_for
from .findings import Finding, Target
from .green_candidates import GREEN_CANDIDATES, Settings, compare_in_a_patched_process
from .ratios import OWN_TIME, WALL_TIME, Clock, Cycles, Effort, interleaved
from .threads import in_a_thread_of_its_own, run_in_threads

_FEWER_CYCLES = 10  # for these take microseconds


@dataclass(frozen=True)
class Situation:
    """``many`` threads, greenlets or tasks on ``size`` connections."""

    size: int
    many: int
    rest: bool
    apart: bool

    @property
    def name(self) -> str:
        return "handed over" if self.apart else "asked for again at once" if self.rest else "alone"

    def of(self, one: str) -> str:
        """Its title, where it is about ``one``s."""
        return f"{self.many} {one}{'s' * (self.many > 1)} on {self.size} connections, {self.name}"


ALONE, HANDED_OVER, AT_ONCE = Situation(8, 1, False, False), Situation(2, 4, True, True), Situation(2, 4, True, False)
SITUATIONS = (ALONE, HANDED_OVER, AT_ONCE)
MODELS = ("thread", "greenlet", "task")
_AHEAD = Target(1.0)

Build = Callable[[Candidate], AbstractContextManager[Cycles]]


def answers(address: Address | None, effort: Effort) -> Iterator[Finding]:
    """All of it, model by model."""
    yield from threads(address, effort)
    yield from greenlets(address, effort)
    yield from tasks(effort)


def threads(address: Address | None, effort: Effort) -> Iterator[Finding]:
    """The standard library's queues in all situations; the pools where there are waiters (else see `cycle`)."""
    queues = (*(candidate for candidate in STUBBED if candidate.package is None), SIMPLE_QUEUE)
    pools = (HAPPYBASE, *(candidate for candidate in STUBBED if candidate.package in ("SQLAlchemy", "psycopg_pool")))
    for situation in SITUATIONS:
        for candidate in queues if situation is ALONE else (*queues, *pools):
            ours = CONNECTION_POOL if candidate is HAPPYBASE else POOL
            build = partial(in_threads, situation, address)
            clock = OWN_TIME if situation is ALONE else WALL_TIME
            question, target = situation.of("thread"), _target(situation, candidate)
            yield _compared(
                effort, question, missing_for(ours, candidate, address), ours, candidate, build, target, clock
            )


def tasks(effort: Effort) -> Iterator[Finding]:
    """asyncio's own queue, and the pools made for it."""
    from .asyncio_candidates import ASYNC_CANDIDATES, ASYNC_POOL

    for situation in SITUATIONS:
        for candidate in ASYNC_CANDIDATES:
            question, target, build = situation.of("task"), _target(situation, candidate), partial(in_tasks, situation)
            missing = ASYNC_POOL.missing() or candidate.missing()
            yield _compared(effort, question, missing, ASYNC_POOL, candidate, build, target, OWN_TIME)


def greenlets(address: Address | None, effort: Effort) -> Iterator[Finding]:
    """gevent's own queues, and the pools of threads in a process where gevent has patched what they wait with."""
    missing = GREEN_CANDIDATES[0].missing() or POOL.missing()
    found: dict[tuple[str, int], Any] = {}
    if missing is None:
        fewer = max(50, effort.cycles // _FEWER_CYCLES)
        settings = Settings(effort.rounds, fewer, address, tuple(astuple(one) for one in SITUATIONS))
        found = compare_in_a_patched_process(settings)
    for number, situation in enumerate(SITUATIONS):
        for candidate in GREEN_CANDIDATES:
            ours = CONNECTION_POOL if candidate is HAPPYBASE else POOL
            finding = partial(
                Finding, situation.of("greenlet"), candidate.name, ours.name, target=_target(situation, candidate)
            )
            said = missing or found[candidate.name, number]
            yield finding(missing=said) if isinstance(said, str) else finding(said["times"], figures=said)


@contextmanager
def in_threads(situation: Situation, address: Address | None, candidate: Candidate) -> Iterator[Cycles]:
    """The cycles of as many threads as the situation has."""
    with candidate.build(situation.size, address) as cycles:
        if situation.many == 1:
            yield cycles
        else:
            resting = partial(cycles, rest=time.sleep, apart=situation.apart)
            with run_in_threads(resting, situation.many) as together:
                yield together


@contextmanager
def in_tasks(situation: Situation, candidate: Candidate) -> Iterator[Cycles]:
    """The cycles of as many tasks of one loop."""
    from .asyncio_candidates import together

    with candidate.build(situation.size, None) as cycles:
        yield together(cycles, situation.many, situation.rest, situation.apart)


def _target(situation: Situation, candidate: Candidate) -> Target | None:
    """None where the candidate does less: no wait, as it lets callers past the waiters, or nothing beyond a lock."""
    return None if situation is AT_ONCE or candidate is SIMPLE_QUEUE else _AHEAD


def _compared(
    effort: Effort,
    question: str,
    missing: str | None,
    ours: Candidate,
    theirs: Candidate,
    build: Build,
    target: Target | None,
    clock: Clock,
) -> Finding:
    finding = partial(Finding, question, theirs.name, ours.name, target=target)
    if missing:
        return finding(missing=missing)

    def compare() -> Any:
        with build(ours) as a, build(theirs) as b:
            fewer = max(50, effort.cycles // _FEWER_CYCLES)
            return interleaved(a, b, rounds=effort.rounds, cycles=fewer, clock=clock)

    try:
        ratio = in_a_thread_of_its_own(compare)
    except ImportError as error:
        return finding(missing=str(error))
    return finding(ratio.times, figures=asdict(ratio))
