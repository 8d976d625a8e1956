"""The questions, and how each is answered. Each gives its findings one by one, when they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import asdict
from functools import partial
from importlib import import_module
from itertools import repeat
from statistics import median
from typing import Any

from . import concurrency, crowd, load, memory, operations, scale
from .candidates import CONNECTION_POOL, FLOOR, HAPPYBASE, POOL, STUBBED, Address, Candidate, fastpool_pool
from .findings import Finding, Target
from .floor import FloorUnavailable
from .ratios import OWN_TIME, WALL_TIME, Clock, Cycles, Effort, Ratio, interleaved
from .stubs import Stub
from .threads import in_a_thread_of_its_own, run_in_threads

Server = Any
"""A running HBaseServer that holds the load's table; None if happybase is not installed."""

Question = Callable[[Server, Effort], Iterator[Finding]]

Build = Callable[[Candidate], AbstractContextManager[Cycles]]

_SIZE = 8
_IN_USE = ContextVar("fastpool_compare_in_use", default=False)
_CHEAPER = {
    "happybase.ConnectionPool": Target(25),
    "SQLAlchemy QueuePool": Target(30),
    "psycopg_pool ConnectionPool": Target(15),
    "DBUtils PooledDB": Target(12),
    "redis-py ConnectionPool": Target(30),
    "redis-py BlockingConnectionPool": Target(30),
}


def ask(question: str, effort: Effort) -> Iterator[Finding]:
    """Answer one of QUESTIONS, with a server of its own where the Thrift client for one is installed."""
    with nullcontext() if HAPPYBASE.missing() else load.served() as server:
        yield from QUESTIONS[question](server, effort)


def cycle(server: Server, effort: Effort) -> Iterator[Finding]:
    """One checkout and checkin, with no other caller."""

    def build(candidate: Candidate) -> AbstractContextManager[Cycles]:
        return candidate.build(_SIZE, _address(server))

    question = "checkout + checkin"
    most = Target(1.3, at_most=True)
    for pool in (POOL, CONNECTION_POOL):
        yield _compare(effort, question, FLOOR, pool, build, target=most)
        what = f"{pool.name} beside asyncio and context variables"
        yield _compare(effort, question, FLOOR, pool, build, what=what, prepare=_use_asyncio)
    for candidate in (HAPPYBASE, *STUBBED):
        yield _compare(effort, question, _ours(candidate), candidate, build, target=_CHEAPER.get(candidate.name))


def nested(server: Server, effort: Effort) -> Iterator[Finding]:
    """A second checkout inside the block, which gets the same connection."""

    @contextmanager
    def build(candidate: Candidate) -> Iterator[Cycles]:
        with opened(candidate, server, _SIZE) as pool:
            yield nested_cycles(pool)

    yield _compare(effort, "nested checkout", CONNECTION_POOL, HAPPYBASE, build)


def contended(server: Server, effort: Effort) -> Iterator[Finding]:
    """Four threads on two connections that cost nothing, so that only the line is measured."""

    @contextmanager
    def build(candidate: Candidate) -> Iterator[Cycles]:
        with candidate.build(2, _address(server)) as cycles, run_in_threads(cycles, 4) as together:
            yield together

    for candidate in (HAPPYBASE, *(candidate for candidate in STUBBED if candidate.blocks)):
        yield _compare(effort, "4 threads on 2 connections", _ours(candidate), candidate, build, clock=WALL_TIME)


def options(server: Server, effort: Effort) -> Iterator[Finding]:
    """The cost that an option adds to a checkout of fastpool.Pool."""
    listener: dict[str, Callable[[Any], None]] = {"checked_out": lambda event: None}
    cases: dict[str, dict[str, Any]] = {
        "timing=True": {"timing": True},
        "one listener, for checked_out": {"listeners": [listener]},
        "max_uses=10**9": {"max_uses": 10**9},
        "max_lifetime=3600": {"max_lifetime": 3600.0},
        "check_after=0 (a stub has nothing to probe)": {"check_after": 0},
    }
    for what, given in cases.items():
        with_option = partial(_pool, _SIZE, given)
        yield _compare(
            effort, "options of fastpool.Pool", POOL, POOL, _plain, with_option, what=what, base="none of them"
        )


def size(server: Server, effort: Effort) -> Iterator[Finding]:
    """The additional cost of a big pool, in time and in memory."""
    question = "large pools"
    large, most = partial(_pool, 4096, {}), Target(1.2, at_most=True)
    what, base = "checkout + checkin with 4096 slots", "the same with 8"
    yield _compare(effort, question, POOL, POOL, _plain, large, what=what, base=base, target=most)
    what, base = "the same, all but one leased", "checkout + checkin with 8 slots"
    last = partial(scale.last_free, 4096)
    yield _compare(effort, question, POOL, POOL, _plain, last, what=what, base=base, target=most)
    if (missing := POOL.missing()) is None:
        per_slot = memory.bytes_per_slot(Stub)
        missing = "this system does not say how much memory a process uses" if per_slot is None else None
    else:
        per_slot = None
    what = "memory per idle slot, beyond the connection"
    yield Finding(question, what, "", per_slot, "bytes", Target(512, at_most=True), missing)


def drop_ins(server: Server, effort: Effort) -> Iterator[Finding]:
    """One checkout and checkin through a drop-in and through the pool that it replaces, with no other caller."""
    from .drop_in_pairs import DROP_INS

    for ours, theirs, target in DROP_INS:
        yield _compare(effort, "checkout + checkin through a drop-in", ours, theirs, _without_server, target=target)


def line(server: Server, effort: Effort) -> Iterator[Finding]:
    """The additional cost of a waiter in a long line."""
    question, what, base = "a long line", "each of 10,000 tasks that wait and are cancelled", "each of 1,000"
    if missing := POOL.missing():
        yield Finding(question, what, base, missing=missing)
        return
    rounds = [(scale.each_in_line(1_000), scale.each_in_line(10_000)) for _ in range(effort.turns)]
    figures = {"few_s": median(few for few, _ in rounds), "many_s": median(many for _, many in rounds)}
    times = median(many / few for few, many in rounds)
    yield Finding(question, what, base, times, target=Target(2, at_most=True), figures=figures)


def parallel(server: Server, effort: Effort) -> Iterator[Finding]:
    """Without the GIL: the operations of two threads that share one pool, beside those of one."""
    question, what, base = "two threads in parallel, without the GIL", "operations/s on one fastpool.Pool", "one thread"
    target = Target(1.8)
    if missing := scale.no_free_threads():
        yield Finding(question, what, base, target=target, missing=missing)
        return
    two, one = partial(scale.shared_by, 2), partial(scale.shared_by, 1)
    yield _compare(effort, question, POOL, POOL, two, one, what=what, base=base, target=target, clock=WALL_TIME)


def loopback(server: Server, effort: Effort) -> Iterator[Finding]:
    """Small calls to a Thrift server in another process, both pools taking turns."""
    for threads, connections, at_least in ((1, 1, 1.1), (8, 8, 1.2), (64, 8, 1.0)):
        question = f"{threads} thread{'s' * (threads > 1)} on {connections}, one small call each"
        if missing := CONNECTION_POOL.missing() or HAPPYBASE.missing():
            yield Finding(question, "operations/s", missing=missing)
            continue
        with opened(CONNECTION_POOL, server, connections) as ours, opened(HAPPYBASE, server, connections) as theirs:
            run = partial(load.run, threads=threads, connections=connections)
            for pool in (ours, theirs):
                run(pool, seconds=effort.seconds / 4)
            a: list[load.Load] = []
            b: list[load.Load] = []
            for turn in range(effort.turns):
                for pool in (ours, theirs) if turn % 2 else (theirs, ours):
                    (a if pool is ours else b).append(run(pool, seconds=effort.seconds))
        times = median(x.ops_per_s / y.ops_per_s for x, y in zip(a, b, strict=True))
        what = f"operations/s of {CONNECTION_POOL.name}"
        yield Finding(question, what, HAPPYBASE.name, times, target=Target(at_least), figures={
            "ours_ops_per_s": median(x.ops_per_s for x in a),
            "theirs_ops_per_s": median(x.ops_per_s for x in b),
            "ours_longest_wait_s": max(x.longest_wait_s for x in a),
            "theirs_longest_wait_s": max(x.longest_wait_s for x in b),
        })  # fmt: skip


def fairness(server: Server, effort: Effort) -> Iterator[Finding]:
    """64 threads on 8 connections with replies that take 4 ms, and how evenly they are served."""
    question = "64 threads on 8, replies that take 4 ms"
    for candidate in (CONNECTION_POOL, HAPPYBASE):
        if missing := candidate.missing():
            yield Finding(question, candidate.name, missing=missing)
            continue
        with opened(candidate, server, 8) as pool:
            load.run(pool, threads=64, connections=8, seconds=effort.seconds / 4)
            server.delay = 0.004
            try:
                seen = load.run(pool, threads=64, connections=8, seconds=effort.seconds * effort.turns)
            finally:
                server.delay = 0.0
        held = candidate is CONNECTION_POOL
        figures = {
            "longest_wait_s": seen.longest_wait_s,
            "ideal_wait_s": seen.ideal_wait_s,
            "ops_per_s": seen.ops_per_s,
        }
        yield Finding(
            question,
            f"longest wait with {candidate.name}",
            "the ideal",
            seen.waits_of_ideal,
            target=Target(3, at_most=True) if held else None,
            figures=figures,
        )
        yield Finding(
            question,
            f"others served while one waited, at most, with {candidate.name}",
            "all others",
            seen.most_served_meanwhile / (seen.threads - 1),
            figures={"served_meanwhile": seen.most_served_meanwhile, "others": seen.threads - 1},
        )
        yield Finding(
            question,
            f"operations of the thread that got fewest with {candidate.name}",
            "the mean",
            seen.fewest_of_mean,
            target=Target(0.5) if held else None,
            figures={"fewest": seen.fewest, "mean": seen.operations / seen.threads},
        )


def in_each_model(server: Server, effort: Effort) -> Iterator[Finding]:
    """Threads, gevent's greenlets and asyncio's tasks: alone, and handing connections over to each other."""
    return concurrency.answers(_address(server), effort)


QUESTIONS: dict[str, Question] = {
    "cycle": cycle,
    "nested": nested,
    "contended": contended,
    "options": options,
    "size": size,
    "drop-ins": drop_ins,
    "line": line,
    "crowd": lambda server, effort: crowd.answers(effort),
    "parallel": parallel,
    "loopback": loopback,
    "fairness": fairness,
    "concurrency": in_each_model,
    "operations": lambda server, effort: operations.answers(effort),
}


def _compare(
    effort: Effort,
    question: str,
    ours: Candidate,
    theirs: Candidate,
    build_ours: Build,
    build_theirs: Build | None = None,
    *,
    what: str | None = None,
    base: str | None = None,
    target: Target | None = None,
    clock: Clock = OWN_TIME,
    prepare: Callable[[], object] = lambda: None,
) -> Finding:
    """Time two sides in turns: theirs, called ``what``, as a multiple of ours, called ``base``.

    ``build_theirs`` is ``build_ours`` if it is not given, and the names are the candidates'. ``prepare`` is called
    first, in the thread that is used for this comparison only.
    """
    finding = partial(Finding, question, what or theirs.name, base or ours.name, target=target)

    def compare() -> Ratio:
        prepare()
        with build_ours(ours) as a, (build_theirs or build_ours)(theirs) as b:
            return interleaved(a, b, rounds=effort.rounds, cycles=effort.cycles, clock=clock)

    missing = ours.missing() or theirs.missing()
    if missing is None:
        try:
            for candidate in (ours, theirs):
                import_module(candidate.module)
            ratio = in_a_thread_of_its_own(compare)
        except (FloorUnavailable, ImportError) as error:
            missing = str(error)
        else:
            return finding(ratio.times, figures=asdict(ratio))
    return finding(missing=missing)


def _use_asyncio() -> None:
    """Import asyncio and set a context variable in this thread, as any web framework does."""
    import_module("asyncio")
    _IN_USE.set(True)


def _ours(candidate: Candidate) -> Candidate:
    """Our pool with which a candidate is compared."""
    return CONNECTION_POOL if candidate is HAPPYBASE else POOL


def _pool(size: int, options: dict[str, Any], candidate: Candidate) -> AbstractContextManager[Cycles]:
    return fastpool_pool(size, None, **options)


_plain = partial(_pool, _SIZE, {})


def _without_server(candidate: Candidate) -> AbstractContextManager[Cycles]:
    return candidate.build(_SIZE, None)


def nested_cycles(pool: Any) -> Cycles:
    """Checkouts inside the block of another one."""

    def cycles(n: int) -> None:
        with pool.connection():
            for _ in repeat(None, n):
                with pool.connection():
                    pass

    return cycles


@contextmanager
def opened(candidate: Candidate, server: Server, connections: int) -> Iterator[Any]:
    """A pool of connections to ``server``, happybase's or ours; closed at the end if it has a close()."""
    module, _, name = candidate.name.partition(".")
    pool = getattr(import_module(module), name)(connections, host=server.host, port=server.port)
    try:
        yield pool
    finally:
        # happybase's pool has no close: its connections end when they are collected
        if hasattr(pool, "close"):
            pool.close()


def _address(server: Server) -> Address | None:
    return None if server is None else (server.host, server.port)
