"""Runs the program of tests/_stress.pyx, and parses what it reports."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

SOURCE = "tests/_stress.pyx"


class Run(NamedTuple):
    """One run of the program: the faults that it found, and how often each operation happened."""

    found: str
    counts: Counter[str]


def stress(
    path: Path, shape: tuple[int, int], rounds: int, seed: int, hot: int, patience: int = 20, fault: int = 0
) -> Run:
    """`hot`: the longest run of the fast path alone; `patience`: after that many seconds without progress the run
    counts as livelocked. With an odd seed the oldest idle slot is taken, else the one returned last. A
    sanitizer's first report ends the run."""
    command = [str(path), *map(str, [*shape, rounds, seed, hot, patience])]
    options = {"TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1", "FAULT": str(fault)}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | options, check=False)
    *told, last = done.stdout.splitlines() or [""]
    if done.returncode:
        return Run(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}", Counter())
    assert told == [], done.stdout
    return Run("", Counter({name: int(value) for name, _, value in (pair.partition("=") for pair in last.split())}))


def operations(counts: Counter[str]) -> int:
    """The number of checkouts, checkins, and checkouts without a connection."""
    return 2 * counts["checkouts"] + counts["timeouts"] + counts["cancels"] + counts["failed_connects"]
