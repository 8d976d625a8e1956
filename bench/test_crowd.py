"""The processor time of a thousand waiting threads, on a pool and on a lock."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fastpool._cli.compare import crowd

THREADS = 1_000
SECONDS = 0.5


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("side", crowd.SIDES)
def test_waiting(benchmark: Any, side: str) -> None:
    benchmark.group = f"{THREADS} threads that wait {SECONDS} s (processor time)"
    with crowd.on(side, SECONDS) as wait:
        benchmark.pedantic(crowd.gather, args=(wait, THREADS), rounds=4, warmup_rounds=1)
