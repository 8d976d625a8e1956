"""The comparison with other pools as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .candidates import CONNECTION_POOL, FLOOR, POOL
from .findings import Finding

_OURS, _OTHERS = "#1b7f5c", "#8a8f98"


def save(findings: Sequence[Finding], path: Path) -> None:
    """Draw how long a checkout + checkin takes, shortest first; ImportError without matplotlib.

    Each bar is a multiple of fastpool.Pool's time, as measured in turns with it.
    """
    bars = bars_of(findings)
    if not bars:
        raise ValueError("There is nothing to draw: the question 'cycle' was not asked, or nothing could be measured")
    figure = import_module("matplotlib.figure").Figure(figsize=(9, 0.45 * len(bars) + 1.2), layout="constrained")
    axes = figure.subplots()
    names = [name for name, _ in bars]
    times = [value for _, value in bars]
    colours = [_OURS if name.startswith("fastpool") else _OTHERS for name in names]
    drawn = axes.barh(names, times, color=colours)
    axes.bar_label(drawn, [f"{value:.2f}×" if value < 10 else f"{value:.0f}×" for value in times], padding=4)
    axes.set_xlim(right=max(times) * 1.1)
    axes.invert_yaxis()
    axes.set_xlabel(f"time of one checkout + checkin, as a multiple of {POOL.name}")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def bars_of(findings: Sequence[Finding]) -> list[tuple[str, float]]:
    """The names and their times as multiples of fastpool.Pool's, shortest first; [] if there is nothing to compare."""
    found = {
        (finding.what, finding.base): finding.value
        for finding in findings
        if finding.question == "checkout + checkin" and finding.value is not None
    }
    pool = found.get((POOL.name, FLOOR.name))
    bars = [(POOL.name, 1.0)]
    for (name, base), value in found.items():
        if base == POOL.name:
            bars.append((name, value))
        elif base == CONNECTION_POOL.name and pool is not None:
            bars.append((name, value * found[CONNECTION_POOL.name, FLOOR.name] / pool))
        elif (name, base) == (CONNECTION_POOL.name, FLOOR.name) and pool is not None:
            bars.append((name, value / pool))
    if pool is not None:
        bars.append((FLOOR.name, 1 / pool))
    return sorted(bars, key=lambda bar: bar[1]) if len(bars) > 1 else []
