"""Write measured figures into the documents, so that they are not copied by hand.

    fastpool demo --json demo.json; fastpool bench --json bench.json
    python bench/native/run.py --json native.json
    python -m bench.publish --demo demo.json --bench bench.json [--bench another.json] --native native.json

The text between `<!-- figures: NAME -->` and `<!-- end -->` is replaced: `demo` (three rows) and `bench` (the first
report) in README.md; `demo`, `concurrency` and `all` (every report) and `native` in docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fastpool._cli.compare.concurrency import MODELS, SITUATIONS
from fastpool._cli.compare.tables import amount, duration, environment_line, made_of

ROOT = Path(__file__).resolve().parent.parent
README, PERFORMANCE = ROOT / "README.md", ROOT / "docs" / "performance.md"
_TIMES = "×"
_OF_MODELS = {situation.of(model) for situation in SITUATIONS for model in MODELS}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--demo", type=_read, help="what `fastpool demo --json` wrote")
    arguments.add_argument(
        "--bench", type=_read, action="append", default=[], help="what `fastpool bench --json` wrote"
    )
    arguments.add_argument("--native", type=_read, help="what bench/native/run.py --json wrote")
    given = arguments.parse_args()
    if given.demo:
        _replace(README, "demo", demo(given.demo, _FIRST_SCREEN))
        _replace(PERFORMANCE, "demo", demo(given.demo))
    if given.bench:
        _replace(README, "bench", targets(given.bench[0]))
        _replace(PERFORMANCE, "all", "\n\n".join(map(everything, given.bench)))
        if in_models := [report for report in given.bench if _about_concurrency(report, True)]:
            _replace(PERFORMANCE, "concurrency", "\n\n".join(map(concurrency, in_models)))
    if given.native:
        _replace(PERFORMANCE, "native", native(given.native))


def demo(report: dict[str, Any], rows: Sequence[str] | None = None) -> str:
    """The demo's closing table, or these rows of it."""
    theirs, ours = report["sides"]
    shown = [(what, show(theirs), show(ours)) for what, show in _DEMO.items() if rows is None or what in rows]
    table = _markdown([("", theirs["name"], ours["name"]), *shown])
    return f"{table}\n\nMeasured by `fastpool demo`: {environment_line(report['environment'])}."


def targets(report: dict[str, Any]) -> str:
    """The findings with a target, and whether each is reached."""
    rows = [("", "", "as a multiple of", "measured", "to reach")]
    for found in _about_concurrency(report, False):
        if found["target"]:
            rows.append((found["question"], found["what"], found["base"] or "", *_measured(found)))
    return _markdown(rows) + f"\n\n{environment_line(report['environment'])}."


def everything(report: dict[str, Any]) -> str:
    """A section for one report, with a table per question."""
    environment = report["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    parts = [
        f"## {environment['implementation']} {environment['python']}",
        f"{environment_line(environment)}.",
        versions,
    ]
    for question, findings in groupby(_about_concurrency(report, False), key=lambda found: found["question"]):
        rows = [("", "as a multiple of", "measured", "to reach", "made of")]
        for found in findings:
            made = found["missing"] or made_of(found["figures"])
            rows.append((found["what"], found["base"] or "", *_measured(found), made))
        parts += [f"### {question}", _markdown(rows)]
    return "\n\n".join(parts)


def concurrency(report: dict[str, Any]) -> str:
    """A table for threads, greenlets and tasks: how many times fastpool's time each of the others takes."""
    found = {(one["question"], one["what"]): one for one in _about_concurrency(report, True)}
    parts = [f"{environment_line(report['environment'])}:"]
    for model in MODELS:
        names = dict.fromkeys(what for question, what in found if any(question == s.of(model) for s in SITUATIONS))
        rows = [(f"{model}s", *(f"{s.many} on {s.size}, {s.name}" for s in SITUATIONS))]
        for name in names:
            cells = (found.get((situation.of(model), name)) for situation in SITUATIONS)
            rows.append((name, *(_cell(one) for one in cells)))
        parts.append(_markdown(rows))
    return "\n\n".join(parts)


def native(report: dict[str, Any]) -> str:
    """Borrow + return without Python, and what releasing the GIL would cost."""
    what, wait = "ns per borrow + return, of all threads together", "longest wait, 64 on 8"
    rows = [(what, *(f"{n} threads" for n in report["threads"]), wait)]
    for pool in report["pools"]:
        wait = "" if pool["longest_wait"] is None else f"{pool['longest_wait']:.1f}× the ideal"
        rows.append((pool["name"], *(f"{ns:,.0f}" for ns in pool["ns"]), wait))
    gil = [("ns per checkout + checkin of the core, called from Python", "GIL kept", "let go and taken again")]
    for cost in report["gil"]:
        gil.append((f"{cost['threads']} threads", f"{cost['kept']:,.0f}", f"{cost['released']:,.0f}"))
    return "\n\n".join([_markdown(rows), _markdown(gil), f"{environment_line(report['environment'])}."])


def _about_concurrency(report: dict[str, Any], really: bool) -> list[dict[str, Any]]:
    """The findings of a report that are (or are not) about the concurrency models."""
    return [found for found in report["findings"] if (found["question"] in _OF_MODELS) is really]


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    if found["value"] is None:
        return str(found["missing"])
    theirs, ours = (duration(found["figures"][f"{whose}_ns"] / 1e9) for whose in ("theirs", "ours"))
    return f"{_measured(found)[0]} ({theirs} / {ours})" + (" missed" if found["verdict"] == "missed" else "")


def _measured(found: dict[str, Any]) -> tuple[str, str]:
    shown = "–" if found["value"] is None else amount(found["value"], found["unit"]).replace(f" {_TIMES}", _TIMES)
    if not found["target"]:
        return shown, ""
    missed = " (missed)" if found["verdict"] == "missed" else ""
    return shown, f"{found['target']}{_TIMES if found['unit'] == _TIMES else ' ' + found['unit']}{missed}"


def _fewest(side: dict[str, Any]) -> str:
    return f"{side['64_on_8']['fewest']:,.0f} (mean {side['64_on_8']['mean']:,.0f})"


def _after(outcome: dict[str, str] | None) -> str:
    if outcome is None:
        return "not tried"
    return f"`{outcome['got']!r}`" + ("" if outcome["got"] == outcome["asked"] else ": somebody else's reply")


def _operations(load: str) -> Callable[[dict[str, Any]], str]:
    return lambda side: f"{side[load]['ops_per_s']:,.0f}"


def _seconds(load: str, what: str) -> Callable[[dict[str, Any]], str]:
    return lambda side: duration(side[load][what])


_COST, _FAIRNESS, _SAFETY = _FIRST_SCREEN = (
    "one checkout + checkin, alone",
    "64 threads on 8 connections: longest wait",
    "a call is interrupted; then `row(b'other')` gives",
)
_DEMO: dict[str, Callable[[dict[str, Any]], str]] = {
    _COST: lambda side: f"{side['checkout_ns']:,.0f} ns",
    "8 threads on 8 connections: operations/s": _operations("8_on_8"),
    "64 threads on 8 connections: operations/s": _operations("64_on_8"),
    "8 on 8: longest wait": _seconds("8_on_8", "longest_wait_s"),
    _FAIRNESS: _seconds("64_on_8", "longest_wait_s"),
    "64 on 8: everyone's wait if all took turns": _seconds("64_on_8", "ideal_wait_s"),
    "64 on 8: how often others were served while one waited": lambda side: (
        f"{side['64_on_8']['most_served_meanwhile']:,}"
    ),
    "64 on 8: operations of the thread that got fewest": _fewest,
    "a scan of 20,000 rows: the client's processor time": lambda side: duration(side["scan_s"]),
    _SAFETY: lambda side: _after(side["after_interruption"]),
}


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def _replace(path: Path, name: str, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    begin, end = f"<!-- figures: {name} -->", "<!-- end -->"
    after, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{text}\n\n{end}", before, flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(f"{path.name} must have one place between {begin!r} and {end!r}, but has {count}")
    path.write_text(after, encoding="utf-8")


def _read(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
