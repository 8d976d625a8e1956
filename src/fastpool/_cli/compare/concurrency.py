"""Threads, greenlets and tasks: what a checkout costs in each, beside what people would take there.

In three situations. *Alone*: one of them, connections are free. *Handed over*: four on two connections, each lets the
others run while it holds and after it returned, so that every connection is handed to one who waits, by either side.
*Asked for again at once*: the same without a rest after the return, where a queue lets whoever has just returned a
connection take it again, past those who wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .findings import Finding, Target
from .green_rivals import GREEN_RIVALS, Settings, compare_in_a_patched_process
from .ratios import OWN_TIME, WALL_TIME, Clock, Cycles, interleaved
from .rivals import CONNECTION_POOL, HAPPYBASE, POOL, SIMPLE_QUEUE, STUBBED, Address, Candidate, missing_for
from .team import in_a_thread_of_its_own, team

if TYPE_CHECKING:
    from .questions import Effort

_FEWER_CYCLES = 10  # for these take microseconds


@dataclass(frozen=True)
class Situation:
    """So many of them on so many connections."""

    size: int
    many: int
    rest: bool
    apart: bool

    @property
    def name(self) -> str:
        return "handed over" if self.apart else "asked for again at once" if self.rest else "alone"

    def of(self, one: str) -> str:
        """What it is called where it is about ``one``s."""
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
    """The standard library's queues in all situations; the pools where they are waited for (else see `cycle`)."""
    queues = (*(rival for rival in STUBBED if rival.package is None), SIMPLE_QUEUE)
    pools = (HAPPYBASE, *(rival for rival in STUBBED if rival.package in ("SQLAlchemy", "psycopg_pool")))
    for situation in SITUATIONS:
        for rival in queues if situation is ALONE else (*queues, *pools):
            ours = CONNECTION_POOL if rival is HAPPYBASE else POOL
            build = partial(in_threads, situation, address)
            clock = OWN_TIME if situation is ALONE else WALL_TIME
            question, target = situation.of("thread"), _target(situation, rival)
            yield _compared(effort, question, missing_for(ours, rival, address), ours, rival, build, target, clock)


def tasks(effort: Effort) -> Iterator[Finding]:
    """asyncio's own queue, and the pools made for it."""
    from .asyncio_rivals import ASYNC_POOL, ASYNC_RIVALS

    for situation in SITUATIONS:
        for rival in ASYNC_RIVALS:
            question, target, build = situation.of("task"), _target(situation, rival), partial(in_tasks, situation)
            missing = ASYNC_POOL.missing() or rival.missing()
            yield _compared(effort, question, missing, ASYNC_POOL, rival, build, target, OWN_TIME)


def greenlets(address: Address | None, effort: Effort) -> Iterator[Finding]:
    """gevent's own queues, and the pools of threads in a process where gevent has patched what they wait with."""
    missing = GREEN_RIVALS[0].missing() or POOL.missing()
    found: dict[tuple[str, int], Any] = {}
    if missing is None:
        fewer = max(50, effort.cycles // _FEWER_CYCLES)
        settings = Settings(effort.rounds, fewer, address, tuple(astuple(one) for one in SITUATIONS))
        found = compare_in_a_patched_process(settings)
    for number, situation in enumerate(SITUATIONS):
        for rival in GREEN_RIVALS:
            ours = CONNECTION_POOL if rival is HAPPYBASE else POOL
            finding = partial(
                Finding, situation.of("greenlet"), rival.name, ours.name, target=_target(situation, rival)
            )
            said = missing or found[rival.name, number]
            yield finding(missing=said) if isinstance(said, str) else finding(said["times"], figures=said)


@contextmanager
def in_threads(situation: Situation, address: Address | None, rival: Candidate) -> Iterator[Cycles]:
    """The cycles of as many threads as the situation has."""
    with rival.build(situation.size, address) as cycles:
        if situation.many == 1:
            yield cycles
        else:
            resting = partial(cycles, rest=time.sleep, apart=situation.apart)
            with team(resting, situation.many) as together:
                yield together


@contextmanager
def in_tasks(situation: Situation, rival: Candidate) -> Iterator[Cycles]:
    """The cycles of as many tasks of one loop."""
    from .asyncio_rivals import together

    with rival.build(situation.size, None) as cycles:
        yield together(cycles, situation.many, situation.rest, situation.apart)


def _target(situation: Situation, rival: Candidate) -> Target | None:
    """None where the rival is spared what is asked about: the wait, by whom it lets past; or all but a lock."""
    return None if situation is AT_ONCE or rival is SIMPLE_QUEUE else _AHEAD


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
