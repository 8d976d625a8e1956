"""The findings as tables, on a terminal or in a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from .findings import Finding

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {"reached": "green", "missed": "bold red"}


def show(console: Console, findings: Iterable[Finding]) -> None:
    """Print one table per question."""
    for question, rows in groupby(findings, key=lambda finding: finding.question):
        table = Table(title=question, title_justify="left", title_style="bold", expand=False)
        table.add_column("what")
        table.add_column("as a multiple of")
        table.add_column("measured", justify="right", no_wrap=True)
        table.add_column("to reach", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("made of")
        for row in rows:
            measured = "–" if row.value is None else amount(row.value, row.unit)
            bound = f"{row.target} {row.unit}" if row.target else ""
            verdict = Text(row.verdict, style=_COLOURS.get(row.verdict, ""))
            table.add_row(row.what, row.base, measured, bound, verdict, row.missing or made_of(row.figures))
        console.print(table)


def environment_line(environment: Mapping[str, object]) -> str:
    """One line about the origin of the figures."""
    gil = "" if environment["gil"] else " without the GIL"
    busy = "" if environment["busy"] is None else f"; {environment['busy']} processes were busy before it began"
    return (
        f"{environment['implementation']} {environment['python']}{gil} on {environment['system']}, "
        f"{environment['cores']} cores, {environment['processor']}{busy}"
    )


def amount(value: float, unit: str) -> str:
    """A figure in words."""
    return f"{value:.2f} {unit}" if value < 10 else f"{value:,.1f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def duration(seconds: float) -> str:
    """A time in words."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 100 else f"{seconds * factor:,.0f} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def made_of(figures: Mapping[str, float]) -> str:
    """The figures behind a finding's value; in brackets the quartiles over the rounds."""
    parts = []
    if "times" in figures:
        times = f"{duration(figures['theirs_ns'] / 1e9)} / {duration(figures['ours_ns'] / 1e9)}"
        parts.append(f"{times} ({figures['low']:.2f} … {figures['high']:.2f})")
    if "ours_ops_per_s" in figures:
        parts.append(f"{figures['ours_ops_per_s']:,.0f} / {figures['theirs_ops_per_s']:,.0f} per s")
        waits = (duration(figures[f"{whose}_longest_wait_s"]) for whose in ("ours", "theirs"))
        parts.append("longest waits " + " / ".join(waits))
    if "lock_cpu_s" in figures:
        parts.append(" / ".join(duration(figures[f"{side}_cpu_s"]) for side in ("pool", "lock")))
    if "ideal_wait_s" in figures:
        parts.append(f"{duration(figures['longest_wait_s'])} / {duration(figures['ideal_wait_s'])}")
        parts.append(f"{figures['ops_per_s']:,.0f} per s")
    if "served_meanwhile" in figures:
        parts.append(f"{figures['served_meanwhile']:,.0f} / {figures['others']:,.0f}")
    if "fewest" in figures:
        parts.append(f"{figures['fewest']:,.0f} / {figures['mean']:,.0f}")
    return ", ".join(parts)
