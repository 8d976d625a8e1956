"""Large pools, many waiters, and growth: costs stay proportional, and growing blocks no caller.

tests/core/test_scale.py counts the cost of single steps.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from operator import ge
from typing import Any, Self

import pytest

import fastpool
from tests.core.native import probe
from tests.pool.fake_driver import FREE_THREADED, PATIENCE, Plain, balanced, until

MOST = 65_535
FEW, MANY = 1_000, 10_000


class Stub:
    """A connection that does nothing."""

    __slots__ = ()

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass


def test_the_largest_pool_gives_out_all_refuses_one_more_and_takes_all_back() -> None:
    with fastpool.Pool(Stub, max_size=MOST) as pool:
        out = [pool.checkout() for _ in range(MOST)]
        assert len({id(c) for c in out}) == MOST
        for timeout in (0, 0.01):
            with pytest.raises(fastpool.NoConnectionsAvailable) as refused:
                pool.checkout(timeout=timeout)
            assert refused.value.stats is not None
            assert refused.value.stats.leased == MOST
        random.Random(1).shuffle(out)
        for c in out:
            pool.checkin(c)
        stats = balanced(pool)
        assert (stats.idle, stats.leased, stats.connects) == (MOST, 0, MOST)
        again = pool.checkout(timeout=0)
        assert again is out[-1]
        pool.checkin(again)
    assert len(pool) == 0


def test_an_idle_slot_takes_at_most_512_bytes_beyond_its_connection() -> None:
    size = 4096
    connections = [Stub() for _ in range(size)]
    supply = iter(connections)
    with fastpool.Pool(supply.__next__, max_size=size) as pool:
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            pool.warm()
            python = (tracemalloc.get_traced_memory()[0] - before) / size
        finally:
            tracemalloc.stop()
        assert pool.stats().idle == size
    table = probe().SLOT_BYTES + 1  # native memory: the slot, and a bit in a map
    assert 200 < python + table <= 512


# ---- growth


def cycling(pool: fastpool.Pool, threads: int) -> tuple[Callable[[], None], list[int], list[BaseException]]:
    """Threads that check out and in with timeout=0; a function that ends them, and their counts."""
    stop = threading.Event()
    counts = [0] * threads
    errors: list[BaseException] = []
    begun = threading.Barrier(threads + 1)

    def cycle(which: int) -> None:
        try:
            with pool.connection(timeout=0):
                pass
            begun.wait(PATIENCE)
            while not stop.is_set():
                with pool.connection(timeout=0):
                    counts[which] += 1
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=cycle, args=(which,)) for which in range(threads)]
    for thread in running:
        thread.start()
    begun.wait(PATIENCE)

    def end() -> None:
        stop.set()
        for thread in running:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    return end, counts, errors


THREADS = 4


def test_growing_by_resize_stops_nobody() -> None:
    """The table grows while threads use it, and a caller that finds room is served at once."""
    driver = Plain()
    pool = driver.pool(max_size=THREADS + 1, max_connecting=64)
    end, counts, errors = cycling(pool, THREADS)
    held = []
    try:
        for size in range(THREADS + 2, 2000):
            pool.resize(max_size=size)
            held.append(pool.checkout(timeout=0))
            if size % 500 == 0:
                more = [n + 1 for n in counts]
                until(lambda more=more: errors or all(map(ge, counts, more)), "everyone served")
    finally:
        end()
    assert errors == []
    for c in held:
        pool.checkin(c)
    stats = balanced(pool)
    assert (stats.waits, stats.timeouts) == (0, 0)
    assert len(held) <= stats.connects <= 2000
    pool.close()


def test_growing_by_overflow_stops_nobody() -> None:
    driver = Plain()
    pool = driver.pool(max_size=THREADS, max_overflow=-1, max_connecting=64)
    end, counts, errors = cycling(pool, THREADS)
    try:
        held = [pool.checkout(timeout=0) for _ in range(1500)]
        until(lambda: all(counts) or errors, "everyone served")
        for c in held:
            pool.checkin(c)
    finally:
        end()
    assert errors == []
    stats = balanced(pool)
    assert (stats.waits, stats.timeouts) == (0, 0)
    assert len(pool) <= THREADS
    pool.close()


# ---- ten thousand waiters


async def connect() -> Stub:
    return Stub()


async def leaving(waiters: int, *, timeout: bool) -> float:
    """Processor time, in s per waiter, of tasks that stand in one line and leave it by timeout or cancellation."""
    async with fastpool.AsyncPool(connect, close=Stub.aclose, max_size=1) as pool, pool.connection():
        limit = 0.2 if timeout else None

        async def one() -> None:
            async with pool.connection(timeout=limit):
                raise AssertionError("there was no connection to give")

        begin = time.process_time()
        tasks = [asyncio.create_task(one()) for _ in range(waiters)]
        if not timeout:
            while pool.stats().waiting < waiters:
                await asyncio.sleep(0)
            random.Random(waiters).shuffle(tasks)
            for task in tasks:
                task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        spent = time.process_time() - begin
        expected: Any = fastpool.NoConnectionsAvailable if timeout else asyncio.CancelledError
        assert {type(end) for end in ends} == {expected}
        assert pool.stats().waiting == 0
    return spent / waiters


@pytest.mark.parametrize("timeout", [True, False], ids=["timed out", "cancelled"])
def test_ten_thousand_tasks_in_line_cost_ten_times_what_a_thousand_do(timeout: bool) -> None:
    """Quadratic would be 10 times as much for each, and it was 7 times before owners in line were found by a key."""

    few, many = [], []
    gc.collect()
    gc.disable()  # the collector would traverse what other tests have left, and more often for ten thousand tasks
    try:
        for _ in range(6):  # a busy machine can spoil some rounds: the best of each is compared
            few.append(asyncio.run(leaving(FEW, timeout=timeout)))
            many.append(asyncio.run(leaving(MANY, timeout=timeout)))
            if min(many) / min(few) < 3:
                return
    finally:
        gc.enable()
    raise AssertionError(f"each of {MANY} cost {many}, each of {FEW} {few}")


class Work:
    """Counts the work of Python code: instructions, calls of C functions, and the most memory in use at once."""

    def __enter__(self) -> Self:
        self.instructions = self.calls = self.bytes = 0
        tracemalloc.reset_peak()
        self._before = tracemalloc.get_traced_memory()[0]
        self._others = sys.getprofile(), sys.gettrace()
        sys.setprofile(self._profile)
        sys._getframe().f_trace_opcodes = True  # 3.12 looks for it in settrace, and would count none the first time
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._others[1])
        sys.setprofile(self._others[0])
        self.bytes = tracemalloc.get_traced_memory()[1] - self._before

    def _trace(self, frame: Any, event: str, arg: object) -> Any:
        frame.f_trace_opcodes = True
        self.instructions += event == "opcode"
        return self._trace

    def _profile(self, frame: object, event: str, arg: object) -> None:
        self.calls += event == "c_call"


@pytest.mark.skipif(FREE_THREADED, reason="pools are immortal without the GIL: later tests would have thousands more")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: fastpool.Pool(Stub, max_size=2), id="threads"),
        pytest.param(lambda: fastpool.AsyncPool(connect, max_size=2), id="tasks"),
        pytest.param(lambda: fastpool.Pool(lambda s: Stub(), servers=["a:1", "b:2"], max_size=2), id="servers"),
        pytest.param(lambda: fastpool.Pool(Stub, max_size=2, idle_timeout=3600, open=True), id="looked after"),
        pytest.param(lambda: fastpool.ConnectionPool(2, open=False), id="happybase"),
    ],
)
def test_making_a_pool_costs_the_same_however_many_there_are(make: Callable[[], Any]) -> None:
    pools = [make() for _ in range(5)]

    def cost_of_the_next() -> tuple[int, int, int]:
        """The least of five: now and then a table grows."""
        costs = []
        for _ in range(5):
            with Work() as work:
                pools.append(make())
            costs.append((work.instructions, work.calls, work.bytes))
        instructions, calls, memory = zip(*costs, strict=True)
        return min(instructions), min(calls), min(memory)

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        few = cost_of_the_next()
        pools += [make() for _ in range(FEW)]
        many = cost_of_the_next()
    finally:
        tracemalloc.stop()
        gc.enable()
    for pool in pools:
        if not isinstance(pool, fastpool.AsyncPool):
            pool.close()
    assert few[0] > 100, "the instructions of making a pool are counted"
    assert all(later <= 1.1 * first for later, first in zip(many, few, strict=True)), (few, many)
