"""``python -m bench.today``: a checkout, one small query on a real server, and the checkin; both pools in turns.

The last load keeps each connection for 5 ms, so that the line makes the wait, and not the fight for the processor.

Servers are Debian's packages, started on loopback and stopped again. A library or server that is not installed is shown
as such. Ratios are medians over the rounds; longest wait and fewest are medians of each side.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import _pytest.outcomes

import bench.today
from fastpool._cli.compare import load
from fastpool._cli.compare.findings import environment


class Work(NamedTuple):
    """A load: so many threads on so many connections, each keeping its connection for a while after its operation."""

    threads: int
    connections: int
    held_ms: float = 0.0

    def use(self, operate: Callable[[], object]) -> None:
        """Do the operation, and keep the connection for as long as the load says."""
        operate()
        if self.held_ms:
            time.sleep(self.held_ms / 1e3)


LOADS = (Work(1, 1), Work(8, 8), Work(64, 8), Work(64, 8, held_ms=5))


class Blocks(NamedTuple):
    """The interface that the load wants of a pool."""

    connection: Callable[..., AbstractContextManager[Any]]


def libraries() -> list[str]:
    """The names of the modules beside this one."""
    return sorted(module.name for module in pkgutil.iter_modules(bench.today.__path__) if module.name != "__main__")


def compare(library: ModuleType, rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """A row of figures for each load."""
    with library.server() as address:
        for work in LOADS:
            threads, size = work.threads, work.connections
            with library.ours(address, size) as ours, library.theirs(address, size) as theirs:
                run = partial(load.run, threads=threads, connections=size, use=work.use)
                sides: dict[str, list[load.Load]] = {"ours": [], "theirs": []}
                pools = {"ours": Blocks(ours), "theirs": Blocks(theirs)}
                for turn in range(-1, rounds):  # the first is not counted
                    for side in sorted(sides, reverse=turn % 2 == 1):
                        seen = run(pools[side], seconds=seconds)
                        if turn >= 0:
                            sides[side].append(seen)
            yield row(library.NAME, work, sides)


def row(name: str, work: Work, sides: dict[str, list[load.Load]]) -> dict[str, Any]:
    pairs = zip(sides["ours"], sides["theirs"], strict=True)
    figures: dict[str, Any] = {"pool": name, **work._asdict()}
    figures["times"] = statistics.median(ours.ops_per_s / theirs.ops_per_s for ours, theirs in pairs)
    for side, loads in sides.items():
        figures[side] = {
            "ops_per_s": statistics.median(one.ops_per_s for one in loads),
            "longest_wait_of_ideal": statistics.median(one.waits_of_ideal for one in loads),
            "fewest_of_mean": statistics.median(one.fewest_of_mean for one in loads),
        }
    return figures


def line(figures: dict[str, Any]) -> str:
    both = "; ".join(
        f"{side} {seen['ops_per_s']:,.0f}/s, longest wait {seen['longest_wait_of_ideal']:.2f} x ideal, "
        f"fewest / mean {seen['fewest_of_mean']:.2f}"
        for side, seen in ((side, figures[side]) for side in ("ours", "theirs"))
    )
    return f"{figures['pool']}, {bench.today.in_words(figures)}: {figures['times']:.2f} x ({both})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=libraries(), default=libraries())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, for bench.publish")
    args = parser.parse_args()
    report: dict[str, Any] = {"environment": environment(), "rows": []}
    for name in args.only:
        try:
            library = importlib.import_module(f"bench.today.{name}")
            for figures in compare(library, args.rounds, args.seconds):
                print(line(figures), flush=True)
                report["rows"].append(figures)
        except (ImportError, _pytest.outcomes.Skipped) as missing:
            print(f"{name}: {missing}", flush=True)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
