"""Counts what one checkout + checkin costs, in a process of its own, and prints it as JSON.

    python budget.py POOL [MODULE …]      POOL: Pool, ConnectionPool, AsyncPool, aconnection (a task's lease on a
                                          Pool), by-hand (checkout and checkin), or sockets (a Pool of them),
                                          sockets-aconnection; the modules are imported first
    python budget.py POOL in gevent       the same, counted in one of gevent's greenlets

Counts, not times: so they are the same on every machine.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import socket
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from itertools import repeat
from types import FrameType
from typing import Any

COUNTED = 100
STEADY = 10_000

Loop = Callable[[int], None]


class Stub:
    """A connection that does nothing."""

    def close(self) -> None:
        pass


@contextlib.contextmanager
def in_a_loop(first: Coroutine[Any, Any, Any]) -> Iterator[None]:
    """After ``first``, pretend that its loop runs, without iterating it: a checkout that need not wait needs no
    iteration."""
    import asyncio

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first)
    while len(sys._current_frames()) > 1:
        time.sleep(0.001)  # the test that runs this has a time limit
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)
        loop.close()


async def use(pool: Any) -> None:
    async with pool.aconnection():
        pass


@contextlib.contextmanager
def opened(kind: str) -> Iterator[Any]:
    import fastpool
    from fastpool._async import workers as _workers

    _workers.REST_S = 0.0  # the thread that connected for a task ends before the counting begins
    if kind in ("Pool", "by-hand"):
        with fastpool.Pool(Stub, max_size=4) as pool:
            yield pool
    elif kind == "aconnection":
        with fastpool.Pool(Stub, max_size=4) as pool, in_a_loop(use(pool)):
            yield pool
    elif kind.startswith("sockets"):
        near, far = socket.socketpair()
        with far, fastpool.Pool(lambda: near, max_size=1) as pool:
            with in_a_loop(use(pool)) if kind.endswith("aconnection") else contextlib.nullcontext():
                yield pool
    elif kind == "AsyncPool":
        aio = fastpool.AsyncPool(Stub, max_size=4)
        with in_a_loop(use(aio)):
            yield aio
    else:
        with fastpool.testing.HBaseServer(process=True) as server:
            with fastpool.ConnectionPool(4, host=server.host, port=server.port) as pool:
                yield pool


def events(loop: Loop) -> Counter[str]:
    """The number of profiler events of that many cycles: `call` is a Python frame, `c_call` a call of a C function."""
    seen: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        seen[event] += 1

    sys.setprofile(profile)
    try:
        loop(COUNTED)
    finally:
        sys.setprofile(None)
    return seen


def allocated(loop: Loop) -> tuple[int, int]:
    """The blocks that remain after that many cycles, and the peak number of bytes allocated meanwhile."""
    loop(COUNTED)
    before = sys.getallocatedblocks()
    loop(STEADY)
    blocks = sys.getallocatedblocks() - before
    tracemalloc.start()
    loop(COUNTED)
    tracemalloc.reset_peak()
    begin = tracemalloc.get_traced_memory()[0]
    loop(STEADY)
    peak = tracemalloc.get_traced_memory()[1] - begin
    tracemalloc.stop()
    return blocks, peak


def cycles_of(pool: Any) -> Loop:
    def cycles(n: int) -> None:
        for _ in repeat(None, n):
            with pool.connection():
                pass

    return cycles


def cycles_by_hand(pool: Any) -> Loop:
    def cycles(n: int) -> None:
        for _ in repeat(None, n):
            pool.checkin(pool.checkout())

    return cycles


def cycles_of_tasks(pool: Any) -> Loop:
    async def steps(n: int) -> None:
        for _ in repeat(None, n):
            async with pool.aconnection():
                pass

    return lambda n: at_once(steps(n))


async def nothing() -> None:
    pass


def at_once(steps: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that never suspends."""
    try:
        steps.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def measure(kind: str) -> dict[str, float]:
    """Frames and C calls per cycle; memory beyond that of an empty loop."""
    with opened(kind) as pool:
        tasks = kind == "AsyncPool" or kind.endswith("aconnection")
        cycles = (cycles_of_tasks if tasks else cycles_by_hand if kind == "by-hand" else cycles_of)(pool)

        def plain(n: int) -> None:
            for _ in repeat(None, n):
                pass
            if tasks:
                at_once(nothing())

        gc.disable()
        cycles(COUNTED)
        seen, idle = events(cycles), events(plain)
        blocks, peak = allocated(cycles)
        plain_blocks, plain_peak = allocated(plain)
    return {
        "frames": (seen["call"] - idle["call"]) / COUNTED,
        "c_calls": (seen["c_call"] - idle["c_call"]) / COUNTED,
        "blocks": blocks - plain_blocks,
        "peak_bytes": peak - plain_peak,
    }


if __name__ == "__main__":
    kind, *modules = sys.argv[1:]
    if modules[:1] == ["in"]:
        cost = importlib.import_module(modules[1]).spawn(measure, kind).get()
    else:
        for module in modules:
            importlib.import_module(module)
        cost = measure(kind)
    print(json.dumps(cost))
