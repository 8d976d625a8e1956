"""The processor time of thousands of waiting threads, on a pool and on a lock.

Each crowd has a process of its own, which does nothing else; its processor time is counted from before the first thread
is started until the last one has ended. No thread is served: all wait until their timeout.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from statistics import median
from typing import Any

from .candidates import POOL
from .child import output_of
from .findings import Finding, Target
from .ratios import Effort
from .stubs import Stub

SIDES = ("pool", "lock")
SIZES = (4_000, 10_000)
SECONDS = 3.0
_STACK = 128 * 1024  # bytes for each thread
_MOST_TURNS = 3
_PATIENCE = 300.0


@contextmanager
def on(side: str, seconds: float) -> Iterator[Callable[[], None]]:
    """The function that each thread calls: it waits ``seconds`` for a connection, or a lock, and gets none."""
    if side == "lock":
        lock: Any = threading.Lock()
        with lock:
            yield lambda: lock.acquire(timeout=seconds)
        return
    fastpool = import_module("fastpool")
    with fastpool.Pool(Stub, max_size=1, timeout=seconds) as pool:

        def wait() -> None:
            with suppress(fastpool.NoConnectionsAvailable), pool.connection():
                pass

        with pool.connection():
            yield wait


def gather(wait: Callable[[], None], threads: int) -> None:
    """Call ``wait`` in ``threads`` threads at the same time, until all have ended."""
    before = threading.stack_size(_STACK)
    try:
        crowd = [threading.Thread(target=wait) for _ in range(threads)]
        started = []
        try:
            for one in crowd:
                one.start()
                started.append(one)
        finally:
            for one in started:
                one.join()
    finally:
        threading.stack_size(before)


def cost(side: str, threads: int, seconds: float = SECONDS) -> float:
    """Seconds of processor time of such a crowd, measured in a process of its own."""
    return float(output_of(__name__, side, str(threads), str(seconds), within_s=_PATIENCE))


def answers(effort: Effort) -> Iterator[Finding]:
    """The pool's processor time as a multiple of the lock's, for each size."""
    for threads in SIZES:
        yield compared(threads, min(effort.turns, _MOST_TURNS))


def compared(threads: int, turns: int, seconds: float = SECONDS) -> Finding:
    """Both take turns; the medians count, because a crowd on a lock costs ten times as much now and then."""
    question = f"{threads:,} threads that wait {seconds:g} s"
    what, base, target = f"processor time on one {POOL.name}", "the same threads on a lock", Target(1.5, at_most=True)
    missing = POOL.missing()
    costs: dict[str, list[float]] = {side: [] for side in SIDES}
    try:
        for turn in range(0 if missing else turns):
            for side in SIDES if turn % 2 else SIDES[::-1]:
                costs[side].append(cost(side, threads, seconds))
    except RuntimeError as error:
        missing = str(error)  # the system does not allow so many threads
    except subprocess.TimeoutExpired as error:
        missing = f"the threads on a {error.cmd[-3]} did not end within {error.timeout:g} s"
    if missing:
        return Finding(question, what, base, target=target, missing=missing)
    pool, lock = (median(costs[side]) for side in SIDES)
    return Finding(question, what, base, pool / lock, target=target, figures={"pool_cpu_s": pool, "lock_cpu_s": lock})


def main() -> None:
    side, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with on(side, seconds) as wait:
        begin = time.process_time()
        gather(wait, threads)
        print(time.process_time() - begin)


if __name__ == "__main__":
    main()
