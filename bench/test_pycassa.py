"""The time of one checkout + checkin of pycassa's pool, on the Python 2.7 that it needs, and of its replacement."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from fastpool._cli.compare.ratios import WALL_TIME, Cycles, interleaved
from fastpool.adapters.pycassa import ConnectionPool
from tests.adapters import pycassa_27
from tests.adapters._cassandra import KEYSPACE, FakeCassandra

CYCLES = 1000
PROGRAM = Path(__file__).with_name("pycassa_cycles.py")


@contextmanager
def theirs(address: str, threadlocal: bool) -> Iterator[Cycles]:
    try:
        command = [pycassa_27.python(), str(PROGRAM), address, str(threadlocal)]
        environment = pycassa_27.environment()
    except pycassa_27.Missing as missing:
        pytest.skip(str(missing))
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None and child.stdout is not None

        def cycles(n: int) -> None:
            print(n, file=child.stdin, flush=True)
            child.stdout.readline()

        cycles(CYCLES)
        yield cycles
        child.stdin.close()


@contextmanager
def ours(address: str, threadlocal: bool) -> Iterator[Cycles]:
    with ConnectionPool(KEYSPACE, [address], pool_size=8, timeout=60, use_threadlocal=threadlocal) as pool:

        def cycles(n: int) -> None:
            for _ in repeat(None, n):
                pool.put(pool.get())

        yield cycles


@contextmanager
def as_a_block(address: str, threadlocal: bool) -> Iterator[Cycles]:
    with ConnectionPool(KEYSPACE, [address], pool_size=8, timeout=60, use_threadlocal=threadlocal) as pool:

        def cycles(n: int) -> None:
            for _ in repeat(None, n):
                with pool.connection():
                    pass

        yield cycles


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with FakeCassandra() as server:
        yield server.address


@pytest.mark.parametrize("threadlocal", [True, False], ids=["use_threadlocal", "without"])
@pytest.mark.parametrize("side", [theirs, ours, as_a_block], ids=["pycassa", "get and put", "with"])
def test_cycle(benchmark: Any, address: str, side: Callable[..., Any], threadlocal: bool) -> None:
    benchmark.group = f"pycassa: checkout + checkin ({CYCLES:,} cycles a round)"
    with side(address, threadlocal) as cycles:
        benchmark.pedantic(cycles, args=(CYCLES,), rounds=100, warmup_rounds=2)


@pytest.mark.parametrize("threadlocal", [True, False], ids=["use_threadlocal", "without"])
@pytest.mark.parametrize("side", [ours, as_a_block], ids=["get and put", "with"])
def test_ratio(address: str, side: Callable[..., Any], threadlocal: bool) -> None:
    with side(address, threadlocal) as one, theirs(address, threadlocal) as other:
        ratio = interleaved(one, other, clock=WALL_TIME)
    print(
        f"{ratio.times:.1f} × faster [{ratio.low:.1f} … {ratio.high:.1f}]: "
        f"{ratio.ours_ns:.0f} ns beside {ratio.theirs_ns:.0f} ns"
    )
    assert ratio.times > (10 if side is as_a_block else 1)
