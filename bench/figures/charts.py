"""The charts, drawn by matplotlib as SVG: each once for light and once for dark pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fastpool._cli.compare.candidates import CONNECTION_POOL, FLOOR, POOL
from fastpool._cli.compare.findings import Finding
from fastpool._cli.compare.plot import bars_of
from fastpool._cli.compare.tables import duration, environment_line


@dataclass(frozen=True)
class Theme:
    """The colours of a page. Each colour of a line or text has a contrast of at least 4.5 with the ground."""

    name: str
    ground: str
    text: str
    faint: str
    ours: str
    others: tuple[str, ...]


_ON_LIGHT = ("#b35900", "#6639ba", "#0a5cc5", "#a0245f", "#59636e")
_ON_DARK = ("#ffa657", "#d2a8ff", "#79c0ff", "#ff9bce", "#9198a1")
LIGHT = Theme("light", "#ffffff", "#1f2328", "#d1d9e0", "#0a7050", _ON_LIGHT)
DARK = Theme("dark", "#131416", "#e6e8eb", "#3d444d", "#3fcf9b", _ON_DARK)
Draw = Callable[[Mapping[str, Any], Theme], Figure]


def save(draw: Draw, report: Mapping[str, Any], to: Path) -> list[Path]:
    """Draw for both themes: ``NAME-light.svg`` and ``NAME-dark.svg`` beside ``to``; equal reports give equal bytes."""
    written = []
    for theme in (LIGHT, DARK):
        path = to.with_name(f"{to.name}-{theme.name}.svg")
        with _style(theme):
            draw(report, theme).savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        path.write_text(_portable(path.read_text(encoding="utf-8")), encoding="utf-8")
        written.append(path)
    return written


@contextmanager
def _style(theme: Theme) -> Iterator[None]:
    style = {
        "axes.edgecolor": theme.faint,
        "axes.facecolor": theme.ground,
        "axes.labelcolor": theme.text,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": theme.text,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "axes.titleweight": "bold",
        "figure.facecolor": theme.ground,
        "font.family": "sans-serif",
        "font.size": 10,
        "grid.color": theme.faint,
        "legend.frameon": False,
        "legend.labelcolor": theme.text,
        "svg.fonttype": "none",  # text stays text: small, and to be found and read aloud
        "svg.hashsalt": "fastpool",
        "text.color": theme.text,
        "xtick.color": theme.text,
        "ytick.color": theme.text,
    }
    with matplotlib.rc_context(style):
        yield


def checkout(report: Mapping[str, Any], theme: Theme) -> Figure:
    """Nanoseconds per checkout + checkin, from `python -m bench --only cycle --json`.

    The first bar is fastpool.Pool's own time; each other one is that time, times the ratio measured in turns with it.
    """
    found = [Finding(one["question"], one["what"], one["base"] or "", one["value"]) for one in report["findings"]]
    bars = [(name, ratio * _own_time(report)) for name, ratio in bars_of(found)]
    figure = Figure(figsize=(8, 0.36 * len(bars) + 1.3), layout="constrained")
    axes = figure.subplots()
    colours = [_colour(theme, name) for name, _ in bars]
    drawn = axes.barh([name for name, _ in bars], [value for _, value in bars], color=colours)
    axes.bar_label(drawn, [f"{value:,.0f} ns" for _, value in bars], padding=4)
    axes.set_xlim(right=max(value for _, value in bars) * 1.14)
    axes.invert_yaxis()
    axes.set_title("One checkout and checkin")
    _only_values(axes)
    _signed(figure, report)
    return figure


def waits(report: Mapping[str, Any], theme: Theme) -> Figure:
    """The wait that each share of the checkouts did not exceed, on logarithmic axes."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    others = iter(theme.others)
    for pool in report["pools"]:
        shares = [float(share) for share in pool["percentiles_s"]]
        ours = pool["name"] == POOL.name
        axes.plot(
            range(len(shares)),
            [value * 1000 for value in pool["percentiles_s"].values()],
            color=theme.ours if ours else next(others),
            linewidth=2.8 if ours else 1.4,
            marker="o",
            markersize=4,
            label=f"{pool['name']}: longest {duration(pool['percentiles_s']['100'])}",
        )
    ideal = next(pool["ideal_s"] for pool in report["pools"] if pool["name"] == POOL.name)
    axes.axhline(ideal * 1000, color=theme.text, linestyle=":", label=f"if all took turns: {duration(ideal)}")
    axes.set_xticks(range(len(shares)), [f"{share:g} %" for share in shares])
    axes.set_xlabel("share of the checkouts that waited no longer")
    axes.set_yscale("log")
    axes.set_ylabel("wait in ms")
    axes.grid(axis="y")
    axes.legend(loc="best", fontsize=9)
    axes.set_title(f"{report['threads']} threads on {report['connections']} connections")
    _signed(figure, report)
    return figure


def recovery(report: Mapping[str, Any], theme: Theme) -> Figure:
    """Reads that succeeded, and errors that callers saw, around an outage and a restart."""
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    step = report["slice_s"]
    for pool in report["pools"]:
        ours = pool["name"] == CONNECTION_POOL.name
        colour = theme.ours if ours else theme.others[0]
        seconds = [step * n for n in range(len(pool["reads"]))]
        each = report["turns"] * step
        label = f"{pool['name']}: {pool['errors_after_the_restart']:,} errors after the restart"
        for axes, what in ((above, "reads"), (below, "errors")):
            rates = [count / each for count in pool[what]]
            axes.step(seconds, rates, where="post", color=colour, linewidth=2.4 if ours else 1.4, label=label)
    for axes in (above, below):
        for (since, until), text in ((report["gone_s"], "server gone"), (report["rest_s"], "restarted, no calls")):
            axes.axvspan(since, until, color=theme.faint, alpha=0.6, linewidth=0)
            place = {"ha": "center", "va": "bottom", "transform": axes.get_xaxis_transform()}
            axes.text((since + until) / 2, 1.0, text, fontsize=9, **place)
        axes.set_ylim(bottom=0)
    above.set_ylabel("reads per second")
    below.set_ylabel("errors per second")
    below.set_xlabel("seconds")
    below.legend(loc="upper right", fontsize=9)
    above.set_title("An outage, and a restart while nobody calls", pad=18)
    _signed(figure, report)
    return figure


def _own_time(report: Mapping[str, Any]) -> float:
    """Nanoseconds of fastpool.Pool, measured beside the empty context manager."""
    rows = (one for one in report["findings"] if (one["what"], one["base"]) == (POOL.name, FLOOR.name))
    return float(next(rows)["figures"]["theirs_ns"])


def _colour(theme: Theme, name: str) -> str:
    return theme.ours if name.startswith("fastpool") else theme.others[-1]


def _only_values(axes: Axes) -> None:
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _signed(figure: Figure, report: Mapping[str, Any]) -> None:
    figure.supxlabel(environment_line(report["environment"]), fontsize=7.5)


def _portable(svg: str) -> str:
    """The SVG without trailing spaces, and without the name of a font that the reader may not have."""
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
    return re.sub(r"'DejaVu Sans'(, [^;\"]*)?(?=[;\"])", "system-ui, sans-serif", svg)
