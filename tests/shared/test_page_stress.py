"""The page's native code under many threads that stand for processes, plain and under sanitizers."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.core.native import program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")
KINDS = ["plain", "thread", "address"]


def run(kind: str, threads: int, cap: int, rounds: int, seed: int) -> int:
    """How many have died."""
    command = [str(program(kind, "tests/_page_stress.pyx")), *map(str, (threads, cap, rounds, seed))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr[-4000:]}"
    found = re.search(r"(\d+) deaths", done.stdout)
    assert found, done.stdout
    return int(found[1])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
def test_threads_that_stand_for_processes_find_nothing_wrong(kind: str) -> None:
    rounds = 20 if kind == "thread" else 100
    deaths = sum(run(kind, threads, cap, rounds, seed) for seed, (threads, cap) in enumerate([(2, 1), (3, 2), (8, 4)]))
    assert deaths > 100


@pytest.mark.stress
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_for_long(kind: str) -> None:
    for seed in range(20):
        run(kind, 2 + seed % 15, 1 + seed % 7, 2000, seed)
