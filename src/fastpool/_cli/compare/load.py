"""Threads that take a connection, do one small call and give the connection back, as often as they can."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count, repeat
from time import perf_counter
from typing import Any, Protocol

from .ratios import Cycles
from .threads import run_in_threads

TABLE = "bench"
FAMILY = "cf"
ROWS = (b"first", b"other")

_STOP_WITHIN = 60.0

Tick = Callable[[int], None]
"""Told now and then how many operations there were so far."""


class Pool(Protocol):
    """The interface that happybase's pool and ours share."""

    def connection(self, timeout: float | None = None) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True)
class Load:
    """The result of one run. A wait that had not ended when the run did counts with its length until then."""

    threads: int
    connections: int
    seconds: float
    per_thread: tuple[int, ...]
    longest_wait_s: float
    mean_hold_s: float
    most_served_meanwhile: int = 0
    """How many times others were served while one waited, at most; a machine that stands still adds nothing to it."""

    @property
    def operations(self) -> int:
        return sum(self.per_thread)

    @property
    def ops_per_s(self) -> float:
        return self.operations / self.seconds

    @property
    def fewest(self) -> int:
        """The number of operations of the thread with the fewest."""
        return min(self.per_thread)

    @property
    def fewest_of_mean(self) -> float:
        """``fewest`` as a share of the mean operations of a thread."""
        return self.fewest * self.threads / max(1, self.operations)

    @property
    def ideal_wait_s(self) -> float:
        """How long each would wait if all took turns: one hold for each caller ahead, shared by the connections."""
        return self.threads / self.connections * self.mean_hold_s

    @property
    def waits_of_ideal(self) -> float:
        """How many times the ideal wait the longest one was."""
        return self.longest_wait_s / self.ideal_wait_s if self.ideal_wait_s else 0.0


@contextmanager
def served() -> Iterator[Any]:
    """An HBaseServer in a process of its own, with the table that the load reads: each row holds its own name."""
    import happybase

    from ...testing import HBaseServer

    with HBaseServer(process=True) as server:
        connection = happybase.Connection(server.host, server.port)
        connection.create_table(TABLE, {FAMILY: {}})
        for row in ROWS:
            connection.table(TABLE).put(row, {f"{FAMILY}:name".encode(): row})
        connection.close()
        yield server


def read_a_row(connection: Any) -> object:
    """One small call."""
    return connection.table(TABLE).row(ROWS[0])


def run(
    pool: Pool,
    *,
    threads: int,
    connections: int,
    seconds: float,
    use: Callable[[Any], object] = read_a_row,
    tick: Tick | None = None,
    every: float = 0.25,
) -> Load:
    """Let ``threads`` threads use ``pool`` for ``seconds``, each for one call of ``use`` with a connection at a time.

    An exception of a thread is raised here. ``tick`` is called from this thread every ``every`` seconds.
    """
    workers = [_Worker() for _ in range(threads)]
    shared = _Shared(pool, use, threading.Barrier(threads + 1))
    running = [
        threading.Thread(target=shared.work, args=(worker,), name=f"load-{number}", daemon=True)
        for number, worker in zip(count(1), workers, strict=False)
    ]
    for thread in running:
        thread.start()
    shared.barrier.wait(_STOP_WITHIN)
    begin = perf_counter()
    until = begin + seconds
    try:
        while (left := until - perf_counter()) > 0 and shared.error is None:
            shared.failed.wait(min(left, every))
            if tick is not None:
                tick(sum(worker.done for worker in workers))
        end = perf_counter()
        per_thread = tuple(worker.done for worker in workers)
    finally:
        shared.stop = True
    for thread in running:
        thread.join(_STOP_WITHIN)
        if thread.is_alive():
            raise RuntimeError(f"{thread.name} still waits {_STOP_WITHIN:g} s after all others stopped: {pool!r}")
    if shared.error is not None:
        raise shared.error
    held = sum(worker.held for worker in workers)
    holds = sum(worker.done for worker in workers)
    return Load(
        threads,
        connections,
        end - begin,
        per_thread,
        max(worker.longest(end) for worker in workers),
        held / max(1, holds),
        max(worker.served_meanwhile for worker in workers),
    )


@contextmanager
def callers(pool: Pool, threads: int) -> Iterator[Cycles]:
    """Give a function of ``n`` that does ``n`` operations in all, shared by ``threads`` threads."""

    def operations(n: int) -> None:
        for _ in repeat(None, n):
            with pool.connection() as connection:
                read_a_row(connection)

    with run_in_threads(operations, threads) as together:
        yield together


class _Worker:
    """The counters of one thread, written by that thread alone, so without a lock."""

    __slots__ = ("done", "held", "served_meanwhile", "waits")

    def __init__(self) -> None:
        self.done = 0
        self.served_meanwhile = 0
        self.held = 0.0
        self.waits: list[tuple[float, float]] = []
        """(asked, got) of those waits that were longer than any before."""

    def longest(self, end: float) -> float:
        return max((min(got, end) - asked for asked, got in self.waits if asked < end), default=0.0)


class _Shared:
    """The state that the threads of one run share."""

    def __init__(self, pool: Pool, use: Callable[[Any], object], barrier: threading.Barrier) -> None:
        self.pool = pool
        self.use = use
        self.barrier = barrier
        self.stop = False
        self.numbers = count(1)
        self.last_served = 0
        self.failed = threading.Event()
        self.error: BaseException | None = None

    def work(self, worker: _Worker) -> None:
        try:
            self.barrier.wait(_STOP_WITHIN)
            self._loop(worker)
        except BaseException as error:  # raised again where the run was asked for
            self.error = error
            self.stop = True
            self.failed.set()

    def _loop(self, worker: _Worker) -> None:
        pool, clock, use = self.pool, perf_counter, self.use
        longest = 0.0
        while not self.stop:
            asked, before = clock(), self.last_served
            with pool.connection() as connection:
                self.last_served = number = next(self.numbers)
                got = clock()
                use(connection)
                worker.held += clock() - got
            worker.done += 1
            if got - asked > longest:
                longest = got - asked
                worker.waits.append((asked, got))
            if number - before - 1 > worker.served_meanwhile:
                worker.served_meanwhile = number - before - 1
