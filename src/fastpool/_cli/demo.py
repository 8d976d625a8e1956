"""The demo: one load through happybase's pool and through ours, and the outcome of an interrupted call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Protocol

from .compare import scan
from .compare.candidates import CONNECTION_POOL, HAPPYBASE, with_connection
from .compare.interrupted import Outcome, can_interrupt, interrupted_call
from .compare.load import Load, run
from .compare.questions import opened
from .compare.ratios import Ratio, interleaved

_FEW_TURNS = 5
_MANY_TURNS = 3
_WARM = 0.2


@dataclass(frozen=True)
class Turns:
    """The results of several turns of one load together."""

    loads: tuple[Load, ...]

    @property
    def ops_per_s(self) -> float:
        return sum(load.operations for load in self.loads) / sum(load.seconds for load in self.loads)

    @property
    def longest_wait_s(self) -> float:
        return max(load.longest_wait_s for load in self.loads)

    @property
    def ideal_wait_s(self) -> float:
        return fmean(load.ideal_wait_s for load in self.loads)

    @property
    def most_served_meanwhile(self) -> int:
        """The most times that others were served while one thread waited."""
        return max(load.most_served_meanwhile for load in self.loads)

    @property
    def fewest(self) -> int:
        """The operations of the thread with the fewest, in any turn."""
        return min(load.fewest for load in self.loads)

    @property
    def mean(self) -> float:
        """The mean operations of a thread in a turn."""
        return fmean(load.operations / load.threads for load in self.loads)

    def as_json(self) -> dict[str, float]:
        names = ("ops_per_s", "longest_wait_s", "ideal_wait_s", "most_served_meanwhile", "fewest", "mean")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Side:
    """The results of one pool. ``after_interruption`` is None where calls cannot be interrupted (no POSIX timers).

    ``scan_s``: processor time of the client for one scan.
    """

    name: str
    checkout_ns: float
    few: Turns
    many: Turns
    scan_s: float
    after_interruption: Outcome | None


@dataclass(frozen=True)
class Result:
    """``ratio`` is happybase's time per checkout as a multiple of ours; ``scanned``: the rows of each scan."""

    happybase: Side
    fastpool: Side
    ratio: Ratio
    scanned: int

    def as_json(self) -> dict[str, Any]:
        return {
            "sides": [_side_as_json(side) for side in (self.happybase, self.fastpool)],
            "checkout": asdict(self.ratio),
            "scanned": self.scanned,
        }


class Screen(Protocol):
    """Shows progress: one step after the other, each of which is told the number of operations so far."""

    def step(self, what: str, seconds: float | None) -> Callable[[int], None]: ...

    def done(self, result: str) -> None: ...


def demonstrate(server: Any, seconds: float, screen: Screen) -> Result:
    """Run everything against ``server`` (an HBaseServer with the load's table), in about ``seconds``."""
    candidates = (HAPPYBASE, CONNECTION_POOL)
    slice_few = max(0.1, seconds * 0.3 / (2 * _FEW_TURNS))
    slice_many = max(0.1, seconds * 0.5 / (2 * _MANY_TURNS))
    ratio = _checkouts(server, screen)
    few: dict[str, list[Load]] = {candidate.name: [] for candidate in candidates}
    many: dict[str, list[Load]] = {candidate.name: [] for candidate in candidates}
    after: dict[str, Outcome | None] = {}
    with opened(HAPPYBASE, server, 8) as theirs, opened(CONNECTION_POOL, server, 8) as ours:
        pools = {HAPPYBASE.name: theirs, CONNECTION_POOL.name: ours}
        for pool in pools.values():
            run(pool, threads=8, connections=8, seconds=_WARM)
        for _ in range(_FEW_TURNS):
            for name, pool in pools.items():
                few[name].append(_load(screen, name, pool, 8, slice_few))
        for _ in range(_MANY_TURNS):
            for name, pool in pools.items():
                many[name].append(_load(screen, name, pool, 64, slice_many))
        scanned = min(20_000, int(seconds * 2_000))  # the server takes longest for them
        scans = _scans(screen, pools, scanned)
        for name, pool in pools.items():
            after[name] = _interruption(screen, name, pool, server)
    side = {
        name: Side(name, checkout_ns, Turns(tuple(few[name])), Turns(tuple(many[name])), scans[name], after[name])
        for name, checkout_ns in ((HAPPYBASE.name, ratio.theirs_ns), (CONNECTION_POOL.name, ratio.ours_ns))
    }
    return Result(side[HAPPYBASE.name], side[CONNECTION_POOL.name], ratio, scanned)


def _checkouts(server: Any, screen: Screen) -> Ratio:
    screen.step("checkout + checkin alone, taking turns", None)
    with opened(HAPPYBASE, server, 8) as theirs, opened(CONNECTION_POOL, server, 8) as ours:
        with with_connection(theirs) as their_cycles, with_connection(ours) as our_cycles:
            ratio = interleaved(our_cycles, their_cycles)
    screen.done(f"{ratio.theirs_ns:,.0f} ns and {ratio.ours_ns:,.0f} ns")
    return ratio


def _load(screen: Screen, name: str, pool: Any, threads: int, seconds: float) -> Load:
    tick = screen.step(f"{threads} threads on 8 connections: {name}", seconds)
    seen = run(pool, threads=threads, connections=8, seconds=seconds, tick=tick)
    screen.done(f"{seen.ops_per_s:,.0f} operations/s")
    return seen


def _scans(screen: Screen, pools: dict[str, Any], rows: int) -> dict[str, float]:
    screen.step(f"scans of {rows:,} rows of {scan.COLUMNS} columns, one by each pool", None)
    scan.fill(pools[CONNECTION_POOL.name], rows)
    taken = {name: scan.scan_s(pool, rows) for name, pool in pools.items()}
    screen.done(" and ".join(f"{seconds * 1e3:,.0f} ms" for seconds in taken.values()) + " of the client's processor")
    return taken


def _interruption(screen: Screen, name: str, pool: Any, server: Any) -> Outcome | None:
    if not can_interrupt():
        return None
    screen.step(f"a call is interrupted: {name}", None)
    outcome = interrupted_call(pool, server)
    screen.done(f"row(b'{outcome.asked}') then gives {outcome.got!r}")
    return outcome


def _side_as_json(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "checkout_ns": side.checkout_ns,
        "8_on_8": side.few.as_json(),
        "64_on_8": side.many.as_json(),
        "scan_s": side.scan_s,
        "after_interruption": None if side.after_interruption is None else asdict(side.after_interruption),
    }
