"""Every wait of 64 threads on 8 connections, for each pool whose callers wait.

A thread takes a connection, holds it for 4 ms without the GIL, returns it, and asks again. The pools take turns. A wait
that has not ended when a turn does counts with its length until then, so that a thread that is never served shows.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from time import perf_counter, sleep
from typing import Any

from fastpool._cli.compare.candidates import HAPPYBASE, POOL, STUBBED, Address, Candidate

THREADS, CONNECTIONS = 64, 8
HOLD_S = 0.004
SHOWN = ("SQLAlchemy QueuePool", "psycopg_pool ConnectionPool", "redis-py BlockingConnectionPool", "queue.LifoQueue")
PERCENTILES = (50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 100)
_STOP_WITHIN = 60.0


def measure(address: Address | None, turns: int, seconds: float) -> dict[str, Any]:
    """The waits of each pool that is installed, from ``turns`` turns of ``seconds`` each."""
    pools = [POOL, HAPPYBASE, *(one for one in STUBBED if one.name in SHOWN)]
    runs: dict[str, list[_Run]] = {pool.name: [] for pool in pools if pool.missing() is None}
    for _ in range(turns):
        for pool in pools:
            if pool.name in runs:
                runs[pool.name].append(_run(pool, address, seconds))
    return {
        "threads": THREADS,
        "connections": CONNECTIONS,
        "hold_s": HOLD_S,
        "pools": [{"name": name, **_summary(of)} for name, of in runs.items()],
    }


class _Run:
    """One turn: the waits of all threads, how often each was served, and how long connections were held."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.served: list[int] = []
        self.holds: list[float] = []


def _run(pool: Candidate, address: Address | None, seconds: float) -> _Run:
    stop = threading.Event()
    ready = threading.Barrier(THREADS + 1)
    ended: list[float] = []
    run = _Run()
    with pool.build(CONNECTIONS, address) as cycles:

        def work() -> None:
            got = 0.0

            def hold(_: Any) -> None:
                nonlocal got
                got = perf_counter()
                sleep(HOLD_S)
                holds.append(perf_counter() - got)

            waits: list[tuple[float, float]] = []
            holds: list[float] = []
            ready.wait(_STOP_WITHIN)
            while not stop.is_set():
                asked = perf_counter()
                cycles(1, hold)
                waits.append((asked, got))
            inside = [(asked, got) for asked, got in waits if asked < ended[0]]
            run.waits += [min(got, ended[0]) - asked for asked, got in inside]
            run.served.append(sum(got < ended[0] for _, got in inside))
            run.holds += holds

        threads = [threading.Thread(target=work, name=f"waits-{n}", daemon=True) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        ready.wait(_STOP_WITHIN)
        sleep(seconds)
        ended.append(perf_counter())
        stop.set()
        for thread in threads:
            thread.join(_STOP_WITHIN)
            if thread.is_alive():
                raise RuntimeError(f"{thread.name} still waits for {pool.name} {_STOP_WITHIN:g} s after the end")
    return run


def _summary(runs: Sequence[_Run]) -> dict[str, Any]:
    waits = sorted(wait for run in runs for wait in run.waits)
    holds = [hold for run in runs for hold in run.holds]
    return {
        "waits": len(waits),
        "percentiles_s": {f"{p:g}": waits[min(len(waits) - 1, int(len(waits) * p / 100))] for p in PERCENTILES},
        "ideal_s": THREADS / CONNECTIONS * sum(holds) / len(holds),
        "fewest": min(min(run.served) for run in runs),
        "mean_served": sum(sum(run.served) for run in runs) / (THREADS * len(runs)),
    }
