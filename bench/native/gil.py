"""The cost of releasing the GIL around checkout and checkin; run by run.py."""

from __future__ import annotations

import importlib.util
import runpy
import statistics
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from types import ModuleType

from fastpool._cli.compare.ratios import WALL_TIME, Cycles, timed
from fastpool._cli.compare.threads import run_in_threads

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CYCLES = 100_000


def built() -> ModuleType:
    """The two operations as functions for Python: `nothing`, `kept`, `released`."""
    native = runpy.run_path(str(ROOT / "tools" / "native.py"), run_name="native")
    path = native["extension"]("gil", HERE / "fastpool" / "gil.pyx")
    spec = importlib.util.spec_from_file_location("gil", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cycles_of(function: Callable[[], None]) -> Cycles:
    def cycles(n: int) -> None:
        for _ in repeat(None, n):
            function()

    return cycles


def cost(threads: int, rounds: int) -> dict[str, float]:
    """ns of wall time per operation, without the call itself; measured in turns, the median round."""
    module = built()
    sides = {name: cycles_of(getattr(module, name)) for name in ("nothing", "kept", "released")}
    rounds_of: dict[str, list[float]] = {"kept": [], "released": []}
    for _ in range(rounds):
        took = {}
        for name, cycles in sides.items():
            with run_in_threads(cycles, threads) as together:
                took[name] = timed(together, CYCLES, WALL_TIME)
        for name, times in rounds_of.items():
            times.append(took[name] - took["nothing"])
    return {name: statistics.median(times) for name, times in rounds_of.items()}
