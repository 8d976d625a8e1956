"""All orders of a few actors' steps, without orders that are equivalent to one already run.

`Walk` runs a program again and again. A run is a list of `Step`s; two steps that touch the same word, one of them
writing, do not commute. For every such pair that could have come the other way round, a run is made in which it does,
and hardly one that only swaps steps that commute. (Source sets and sleep sets: Abdulla, Aronis, Jonsson and Sagonas,
"Optimal dynamic partial order reduction", POPL 2014.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

READS, WRITES, TAKES, SLEEPS, DROPS, BEGINS = range(6)


class Step(NamedTuple):
    """One turn: its actor, the actors that could have had it (bits), those asleep (bits), the access, its place and its
    name."""

    actor: int
    enabled: int
    asleep: int
    kind: int
    where: int
    name: str


@dataclass
class Ran:
    """A run; `redundant` is the first step after which it can show nothing new, `also` what a sleeper looks at."""

    steps: list[Step]
    redundant: int = -1
    also: dict[int, list[int]] = field(default_factory=dict)  # by actor: words that end its sleep


class Program(Protocol):
    """Runs the turns of `plan`, then any; never gives an actor of `asleep` the turn after the plan's last."""

    def __call__(self, plan: bytes, asleep: int) -> Ran: ...


@dataclass
class _Node:
    """The state before one step: the turns that were tried here, and those to be tried."""

    actor: int
    enabled: int
    asleep: int
    tried: int
    wanted: int


class Walk:
    """Iterating over it runs the program in all orders, and yields each run; `runs` counts them."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.runs = 0

    def __iter__(self) -> Iterator[Ran]:
        path: list[_Node] = []
        asleep = 0
        while True:
            plan = bytes(node.actor for node in path)
            ran = self._program(plan, asleep)
            self.runs += 1
            end = len(ran.steps) if ran.redundant < 0 else ran.redundant
            for step in ran.steps[len(path) : end]:
                path.append(_Node(step.actor, step.enabled, step.asleep, 1 << step.actor, 1 << step.actor))
            _want_reversals(ran, end, max(len(plan) - 1, 0), path)
            yield ran
            while path and not _next_turn(path[-1]):
                path.pop()
            if not path:
                return
            asleep = path[-1].asleep | (path[-1].tried & ~(1 << path[-1].actor))


def _next_turn(node: _Node) -> bool:
    left = node.wanted & ~node.tried & ~node.asleep
    if not left:
        return False
    node.actor = (left & -left).bit_length() - 1
    node.tried |= 1 << node.actor
    return True


class _Word:
    """The steps that touched a word last: the write, the lock, and of each reader since."""

    __slots__ = ("read", "take", "write")

    def __init__(self) -> None:
        self.write = self.take = -1
        self.read: dict[int, int] = {}


def _want_reversals(ran: Ran, end: int, first_new: int, path: list[_Node]) -> None:
    """Want, for each two steps that could have come the other way round, a run in which they do.

    A step's clock says of each actor how many of all steps, up to its last one among them, came before in every
    equivalent order.
    """
    steps = ran.steps
    actors = 1 + max(step.actor for step in steps)
    now = [[0] * actors for _ in range(actors)]
    clocks: list[list[int]] = []
    words: dict[int, _Word] = {}
    for i in range(end):
        p, _, _, kind, where, _ = steps[i]
        mine = now[p]
        racing: list[int] = []
        touched: list[tuple[int, bool]] = []  # the words, and whether they are changed
        if kind != BEGINS:
            touched = [(where, kind != READS)]
            if kind == SLEEPS:
                touched += [(at, False) for at in ran.also.get(p, ())]
            before: list[int] = []
            for at, changes in touched:
                word = words.get(at)
                if word is None:
                    continue
                seen = [word.write] if word.write >= 0 else []
                if changes:
                    seen += word.read.values()
                before += seen
                # A step that waits for a lock cannot come before the release, but before the acquire.
                racing += seen if kind != TAKES else [word.take] if word.take >= 0 else []
            if i >= first_new:
                racing = [j for j in racing if steps[j].actor != p and mine[steps[j].actor] <= j]
            for j in before:
                clock = clocks[j]
                for q in range(actors):
                    if clock[q] > mine[q]:
                        mine[q] = clock[q]
        mine[p] = i + 1
        clocks.append(mine.copy())
        if i >= first_new:
            for j in racing:
                _want(path[j], steps, clocks, j, i)
        for at, changes in touched:
            word = words.get(at)
            if word is None:
                word = words[at] = _Word()
            if not changes:
                word.read[p] = i
            else:
                word.write = i
                word.read = {}
                if kind == TAKES:
                    word.take = i


def _want(node: _Node, steps: list[Step], clocks: list[list[int]], j: int, i: int) -> None:
    """Want a turn before step j that can be the first of: all later steps that do not depend on it, then step i."""
    other = steps[j].actor
    first: dict[int, int] = {}
    beginners = 0
    for k in range(j + 1, i + 1):
        q = steps[k].actor
        clock = clocks[k]
        if q in first or (k != i and clock[other] > j):
            continue
        if not any(clock[r] > at for r, at in first.items()):
            beginners |= 1 << q
        first[q] = k
    if beginners & ~node.enabled:
        return  # step j itself enabled the other actor: a sleeper is woken by it
    if not beginners & node.wanted:
        node.wanted |= beginners & -beginners


def replay(plan: bytes) -> str:
    """A list of turns as text: ``a12 b3 a1``."""
    parts: list[str] = []
    at = 0
    while at < len(plan):
        run = at
        while run < len(plan) and plan[run] == plan[at]:
            run += 1
        parts.append(f"{chr(ord('a') + plan[at])}{run - at}")
        at = run
    return " ".join(parts)


def turns(text: str) -> bytes:
    """The list of turns that `replay` made this text of."""
    return b"".join(bytes([ord(part[0]) - ord("a")]) * int(part[1:]) for part in text.split())


def every_order(program: Callable[[bytes, int], Ran]) -> Iterator[Ran]:
    """All orders without any reduction, to check `Walk` for programs of a few steps."""
    path: list[_Node] = []
    while True:
        ran = program(bytes(node.actor for node in path), 0)
        path += [_Node(s.actor, s.enabled, 0, 1 << s.actor, s.enabled) for s in ran.steps[len(path) :]]
        yield ran
        while path and not _next_turn(path[-1]):
            path.pop()
        if not path:
            return
