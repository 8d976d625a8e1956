"""Pools at their limits: the last free connection of thousands, thousands in line, threads that run in parallel."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import repeat
from typing import Any

from .candidates import Candidate, with_connection
from .ratios import Cycles, no_collector
from .stubs import Stub
from .threads import run_in_threads


@contextmanager
def last_free(size: int, candidate: Candidate) -> Iterator[Cycles]:
    """Cycles of a pool of ``size`` connections of which all but one are out."""
    with import_module("fastpool").Pool(Stub, max_size=size) as pool:
        held = [pool.checkout() for _ in range(size - 1)]
        with with_connection(pool) as cycles:
            yield cycles
        for connection in held:
            pool.checkin(connection)


async def _leave_the_line(waiters: int) -> float:
    async def connect() -> Stub:
        return Stub()

    async def close(connection: Stub) -> None:
        pass

    pool = import_module("fastpool").AsyncPool(connect, close=close, max_size=1)
    async with pool, pool.connection():

        async def one() -> None:
            async with pool.connection():
                pass

        begin = time.process_time()
        tasks = [asyncio.create_task(one()) for _ in range(waiters)]
        while pool.stats().waiting < waiters:
            await asyncio.sleep(0)
        for task in tasks[::2] + tasks[1::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return (time.process_time() - begin) / waiters


def each_in_line(waiters: int) -> float:
    """Seconds of processor time for each of many tasks that stand in line and are cancelled there."""
    with no_collector():
        return asyncio.run(_leave_the_line(waiters))


def no_free_threads() -> str | None:
    """Why threads cannot run in parallel here, or None."""
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "needs a free-threaded build of Python"
    if getattr(sys, "_is_gil_enabled", lambda: True)():
        return "the GIL is on: set PYTHON_GIL=0"
    return None


@contextmanager
def shared_by(threads: int, candidate: Candidate) -> Iterator[Cycles]:
    """Cycles of one pool, shared by ``threads`` threads."""
    with import_module("fastpool").Pool(Stub, max_size=8) as pool:

        def cycles(n: int) -> None:
            own: Any = pool  # a variable of the enclosing function would be shared by the threads
            for _ in repeat(None, n):
                with own.connection():
                    pass

        with run_in_threads(cycles, threads) as together:
            yield together
