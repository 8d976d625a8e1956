"""Every execution of a small program that the C11 memory model allows (RC11, as C++20 adopted it), no hardware asked.

A program is a few threads; a thread is a generator that yields accesses and is sent what it reads::

    def writer():
        yield Write("data", 1, NA)
        yield Write("flag", 1, RELEASE)

    def reader():
        if (yield Read("flag", ACQUIRE)):
            return (yield Read("data", NA))

    outcomes(writer, reader)        # the set of what the threads returned, as tuples; RACE if two accesses race

An execution is a graph: which write each read reads from, and in which order the writes to each location happened. The
explorer builds every such graph event by event and drops the ones that the model's axioms forbid:

    coherence    nothing happens before what it was made from        irreflexive(hb ; eco?)
    atomicity    no write comes between a read-modify-write's two halves
    SC           the sequentially consistent accesses have one order acyclic(psc)
    thin air     no value comes out of itself                        acyclic(sb + rf), by construction

There are no fences in it because there are none in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

NA, RELAXED, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST = "na", "relaxed", "acquire", "release", "acq_rel", "seq_cst"
TAKES = {ACQUIRE, ACQ_REL, SEQ_CST}
GIVES = {RELEASE, ACQ_REL, SEQ_CST}
RACE = "race"


@dataclass(frozen=True)
class Read:
    """A load. `wait`: only a value for which it is true is read, as by a loop that spins until then."""

    loc: str
    order: str
    wait: Callable[[Any], bool] | None = None


@dataclass(frozen=True)
class Write:
    """A store."""

    loc: str
    value: Any
    order: str


@dataclass(frozen=True)
class Swap:
    """A read-modify-write; `change` returns the new value, or None: then it fails (a compare-and-swap) and only
    reads."""

    loc: str
    change: Callable[[Any], Any]
    order: str
    failed: str = SEQ_CST


Access = Read | Write | Swap
Steps = Generator[Access, Any, Any]
Thread = Callable[[], Steps]


@dataclass(frozen=True)
class Event:
    """One access as it happened."""

    thread: int
    loc: str
    order: str
    reads: int | None  # the event it reads from
    writes: bool
    value: Any  # what it wrote, or read if it wrote nothing
    seen: Any  # what its thread was told


Graph = tuple[tuple[Event, ...], tuple[tuple[str, tuple[int, ...]], ...]]


def outcomes(*threads: Thread, **start: Any) -> set[Any]:
    """The possible results of the threads, over all executions; `start` sets locations that do not begin as 0."""
    found: set[Any] = set()
    seen: set[Any] = set()
    todo: list[Graph] = [((), ())]
    while todo:
        graph = todo.pop()
        steps = [_resume(thread, _history(graph, n)) for n, thread in enumerate(threads)]
        open_threads = [(n, access) for n, (access, _) in enumerate(steps) if access is not None]
        if not open_threads:
            found.add(tuple(result for _, result in steps))
        for n, access in open_threads:
            for child in _extend(graph, n, access, start):
                key = _canonical(child)
                if key in seen:
                    continue
                seen.add(key)
                verdict = _consistent(child)
                if verdict == RACE:
                    found.add(RACE)
                elif verdict:
                    todo.append(child)
    return found


def _resume(thread: Thread, history: list[Any]) -> tuple[Access | None, Any]:
    """Replay a thread: its next access, or None and what it returned."""
    run = thread()
    try:
        access = next(run)
        for value in history:
            access = run.send(value)
    except StopIteration as end:
        return None, end.value
    return access, None


def _history(graph: Graph, thread: int) -> list[Any]:
    return [event.seen for event in graph[0] if event.thread == thread]


def _extend(graph: Graph, thread: int, access: Access, start: dict[str, Any]) -> Iterator[Graph]:
    """The graph with one more event, in every way: the write that it reads from, and its place among the writes."""
    events, orders = graph
    order = dict(orders)
    writes = order.get(access.loc)
    if writes is None:
        # the initial write, which happens before everything
        events = (*events, Event(-1, access.loc, NA, None, True, start.get(access.loc, 0), None))
        writes = (len(events) - 1,)
    at = len(events)
    taken = {e.reads for e in events if e.writes and e.reads is not None}  # by read-modify-writes

    def grown(event: Event, line: tuple[int, ...]) -> Graph:
        return (*events, event), tuple(sorted({**order, access.loc: line}.items()))

    if isinstance(access, Write):
        event = Event(thread, access.loc, access.order, None, True, access.value, None)
        for place in range(1, len(writes) + 1):
            if writes[place - 1] not in taken:
                yield grown(event, (*writes[:place], at, *writes[place:]))
        return
    for place, source in enumerate(writes):
        value = events[source].value
        if isinstance(access, Read):
            if access.wait is None or access.wait(value):
                yield grown(Event(thread, access.loc, access.order, source, False, value, value), writes)
            continue
        new = access.change(value)
        if new is None:
            yield grown(Event(thread, access.loc, access.failed, source, False, value, value), writes)
        elif source not in taken:
            event = Event(thread, access.loc, access.order, source, True, new, value)
            yield grown(event, (*writes[: place + 1], at, *writes[place + 1 :]))


def _canonical(graph: Graph) -> Any:
    """A key that is equal for graphs that differ only in the order in which they were built."""
    events, orders = graph
    names: list[Any] = []
    count: dict[int, int] = {}
    for event in events:
        if event.thread < 0:
            names.append((-1, event.loc))
        else:
            count[event.thread] = count.get(event.thread, 0) + 1
            names.append((event.thread, count[event.thread]))
    reads = frozenset((names[i], names[e.reads]) for i, e in enumerate(events) if e.reads is not None)
    return reads, frozenset(names), tuple((loc, tuple(names[w] for w in line)) for loc, line in orders)


def _closure(edges: list[int]) -> list[int]:
    """Transitive closure; edges[i] is the bit set of what i points to."""
    reach = list(edges)
    for middle in range(len(reach)):
        for i in range(len(reach)):
            if reach[i] >> middle & 1:
                reach[i] |= reach[middle]
    return reach


def _consistent(graph: Graph) -> bool | str:
    """Whether the axioms allow the graph; RACE if they do and two of its accesses race."""
    events, orders = graph
    n = len(events)
    sb, rf, mo, fr, sw = ([0] * n for _ in range(5))
    for i, a in enumerate(events):
        for j, b in enumerate(events):
            if i != j and ((a.thread == b.thread >= 0 and i < j) or a.thread < 0 <= b.thread):
                sb[i] |= 1 << j
    line_of = dict(orders)
    for line in line_of.values():
        for place, write in enumerate(line):
            for later in line[place + 1 :]:
                mo[write] |= 1 << later
    for i, event in enumerate(events):
        if event.reads is None:
            continue
        rf[event.reads] |= 1 << i
        fr[i] = mo[event.reads] & ~(1 << i)
        if event.order in TAKES:
            # what it reads from, and back through the read-modify-writes that continue a release sequence
            source: int | None = event.reads
            while source is not None:
                if events[source].order in GIVES:
                    sw[source] |= 1 << i
                source = events[source].reads
    hb = _closure([sb[i] | sw[i] for i in range(n)])
    eco = _closure([rf[i] | mo[i] | fr[i] for i in range(n)])
    for i in range(n):
        if hb[i] >> i & 1:
            return False
        if any(eco[j] >> i & 1 for j in range(n) if hb[i] >> j & 1):
            return False
    if not _one_order(events, sb, mo, fr, hb):
        return False
    for i, a in enumerate(events):
        for j in range(i + 1, n):
            b = events[j]
            conflict = a.loc == b.loc and (a.writes or b.writes) and a.thread != b.thread
            if conflict and NA in (a.order, b.order) and not (hb[i] >> j & 1 or hb[j] >> i & 1):
                return RACE
    return True


def _one_order(events: tuple[Event, ...], sb: list[int], mo: list[int], fr: list[int], hb: list[int]) -> bool:
    """acyclic(psc): [SC] ; (sb + sb' ; hb ; sb' + hb at one location + mo + fr) ; [SC], sb' changing the location."""
    n = len(events)
    same = [sum(1 << j for j in range(n) if events[j].loc == events[i].loc) for i in range(n)]
    away = [sb[i] & ~same[i] for i in range(n)]
    strong = sum(1 << i for i in range(n) if events[i].order == SEQ_CST)
    psc = [0] * n
    for i in range(n):
        if not strong >> i & 1:
            continue
        psc[i] = sb[i] | hb[i] & same[i] | mo[i] | fr[i]
        for j in range(n):
            if away[i] >> j & 1:
                for k in range(n):
                    if hb[j] >> k & 1:
                        psc[i] |= away[k]
        psc[i] &= strong
    order = _closure(psc)
    return not any(order[i] >> i & 1 for i in range(n))
