"""Small calls to a Thrift server, end to end, and how evenly threads are served."""

from __future__ import annotations

from typing import Any

import pytest

from fastpool._cli.compare import load
from fastpool._cli.compare.candidates import Candidate
from fastpool._cli.compare.questions import opened

OPERATIONS = 800
"""In each timed round, shared by the threads."""


@pytest.mark.parametrize(("threads", "connections"), [(1, 1), (8, 8), (64, 8)])
def test_small_calls(benchmark: Any, thrift_candidate: Candidate, server: Any, threads: int, connections: int) -> None:
    benchmark.group = f"{OPERATIONS} small calls, {threads} threads on {connections}"
    with opened(thrift_candidate, server, connections) as pool:
        load.run(pool, threads=threads, connections=connections, seconds=0.2)
        with load.callers(pool, threads) as calls:
            benchmark.pedantic(calls, args=(OPERATIONS,), rounds=8, warmup_rounds=1)


def test_fairness(benchmark: Any, thrift_candidate: Candidate, server: Any) -> None:
    """One round of two seconds; the figures are in extra_info."""
    benchmark.group = "64 threads on 8, replies that take 4 ms"
    with opened(thrift_candidate, server, 8) as pool:
        load.run(pool, threads=64, connections=8, seconds=0.2)
        server.delay = 0.004
        try:
            seen = benchmark.pedantic(
                load.run, args=(pool,), kwargs={"threads": 64, "connections": 8, "seconds": 2.0}, rounds=1
            )
        finally:
            server.delay = 0.0
    benchmark.extra_info.update(
        longest_wait_s=seen.longest_wait_s,
        ideal_wait_s=seen.ideal_wait_s,
        fewest_operations=seen.fewest,
        mean_operations=seen.operations / seen.threads,
        ops_per_s=seen.ops_per_s,
    )
