"""The pools used by gevent's greenlets, in a process of its own that is monkey-patched, as its users' processes are.

``python -m fastpool._cli.compare.green_candidates SETTINGS`` compares them there and writes a line of JSON for each.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from .candidates import CONNECTION_POOL, GEVENT_QUEUES, HAPPYBASE, POOL, STUBBED, Address, Candidate, missing_for
from .child import output_of
from .ratios import OWN_TIME, Cycles, interleaved

_PATIENCE = 600.0
GREEN_CANDIDATES = (
    *GEVENT_QUEUES,
    HAPPYBASE,
    *(
        candidate
        for candidate in STUBBED
        if candidate.package in ("SQLAlchemy", "psycopg_pool", "redis") and candidate.blocks
    ),
)


@dataclass(frozen=True)
class Settings:
    """The measurements of the process. A situation: its connections, its greenlets, ``rest`` and ``apart``."""

    rounds: int
    cycles: int
    address: Address | None
    situations: tuple[tuple[int, int, bool, bool], ...]


def compare_in_a_patched_process(settings: Settings) -> dict[tuple[str, int], Any]:
    """The ratio (as a dict), or why there is none (a str), of each candidate (by name) and situation (by number)."""
    printed = output_of(__name__, json.dumps(asdict(settings)), within_s=_PATIENCE)
    return {(name, number): found for name, number, found in map(json.loads, printed.splitlines())}


def together(cycles: Any, greenlets: int, rest: bool, apart: bool) -> Cycles:
    """The cycles of several greenlets, spawned for them."""
    import gevent

    def run(n: int) -> None:
        how = (gevent.sleep, apart) if rest else ()
        gevent.joinall([gevent.spawn(cycles, n // greenlets, *how) for _ in range(greenlets)], raise_error=True)

    return run


def _compare_here(settings: Settings) -> Iterator[tuple[str, int, Any]]:
    for candidate in GREEN_CANDIDATES:
        for number, (size, greenlets, rest, apart) in enumerate(settings.situations):
            yield candidate.name, number, _compare_one(settings, candidate, size, greenlets, rest, apart)


def _compare_one(settings: Settings, candidate: Candidate, size: int, greenlets: int, rest: bool, apart: bool) -> Any:
    ours = CONNECTION_POOL if candidate is HAPPYBASE else POOL
    if missing := missing_for(ours, candidate, settings.address):
        return missing
    with ours.build(size, settings.address) as mine, candidate.build(size, settings.address) as theirs:
        sides = [together(side, greenlets, rest, apart) for side in (mine, theirs)]
        return asdict(interleaved(*sides, rounds=settings.rounds, cycles=settings.cycles, clock=OWN_TIME))


def main() -> None:
    import gevent.monkey

    gevent.monkey.patch_all()
    given = json.loads(sys.argv[1])
    if given["address"] is not None:
        given["address"] = tuple(given["address"])
    for found in _compare_here(Settings(**given)):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
