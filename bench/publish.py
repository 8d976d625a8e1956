r"""Write measured figures into the documents, so that they are not copied by hand.

    fastpool demo --json demo.json; fastpool bench --json bench.json
    python bench/native/run.py --json native.json
    python -m bench.operations --json client.json
    python -m bench.today --json today.json
    python -m bench.publish --demo demo.json --bench bench.json [--bench another.json] --native native.json \
        --client client.json --today today.json

Each argument may be left out. The text between `<!-- figures: NAME -->` and `<!-- end -->` is replaced: `demo` (three
rows), `bench` and `operations` (the first report) in README.md; `demo`, `concurrency` and `all` (every report) and
`native` and `today` in docs/performance.md; `operations` (the first report) and `client` in docs/codec.md.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.today import in_words
from fastpool._cli.compare import operations as whole
from fastpool._cli.compare.concurrency import MODELS, SITUATIONS
from fastpool._cli.compare.tables import amount, duration, environment_line, made_of

ROOT = Path(__file__).resolve().parent.parent
README, PERFORMANCE, CODEC = ROOT / "README.md", ROOT / "docs" / "performance.md", ROOT / "docs" / "codec.md"
_TIMES = "×"
_OF_MODELS = {situation.of(model) for situation in SITUATIONS for model in MODELS}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--demo", type=_read, help="what `fastpool demo --json` wrote")
    arguments.add_argument(
        "--bench", type=_read, action="append", default=[], help="what `fastpool bench --json` wrote"
    )
    arguments.add_argument("--native", type=_read, help="what bench/native/run.py --json wrote")
    arguments.add_argument("--client", type=_read, help="what `python -m bench.operations --json` wrote")
    arguments.add_argument("--today", type=_read, help="what `python -m bench.today --json` wrote")
    given = arguments.parse_args()
    if given.demo:
        _replace(README, "demo", demo(given.demo, _FIRST_SCREEN))
        _replace(PERFORMANCE, "demo", demo(given.demo))
    if given.bench:
        _replace(README, "bench", targets(given.bench[0]))
        if _about(given.bench[0], whole.QUESTION):
            _replace(README, "operations", operations(given.bench[0], _times))
            _replace(CODEC, "operations", operations(given.bench[0], _share))
        _replace(PERFORMANCE, "all", "\n\n".join(map(everything, given.bench)))
        if in_models := [report for report in given.bench if _about_concurrency(report, True)]:
            _replace(PERFORMANCE, "concurrency", "\n\n".join(map(concurrency, in_models)))
    if given.native:
        _replace(PERFORMANCE, "native", native(given.native))
    if given.client:
        _replace(CODEC, "client", client(given.client))
    if given.today:
        _replace(PERFORMANCE, "today", today(given.today))


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


def operations(report: dict[str, Any], show: Callable[[dict[str, Any]], str]) -> str:
    """A table of whole operations: a row for each, a column for each model of concurrency and protocol."""
    found = {one["what"]: one for one in _about(report, whole.QUESTION)}
    columns = [(model, protocol) for model in whole.MODELS for protocol in whole.PROTOCOLS]
    rows = [("", *(f"{model}, {protocol}, beside {whole.MODELS[model]}" for model, protocol in columns))]
    for name in whole.OPERATIONS:
        cells = (found.get(whole.what_of(name, *column)) for column in columns)
        rows.append((name, *("–" if one is None or one["value"] is None else show(one) for one in cells)))
    return f"{_markdown(rows)}\n\n{environment_line(report['environment'])}."


def client(report: dict[str, Any]) -> str:
    """A table of what operations cost the client alone, in both protocols."""
    rows = [("", *(text for protocol in whole.PROTOCOLS for text in (protocol, "of happybase's")))]
    for name in dict.fromkeys(one["name"] for one in report["operations"]):
        cells = []
        for protocol in whole.PROTOCOLS:
            found = [one for one in report["operations"] if (one["name"], one["protocol"]) == (name, protocol)]
            cells += [_each(one) for one in found] or [("–", "–")]
        rows.append((name, *(text for cell in cells for text in cell)))
    lines = [_markdown(rows), f"{environment_line(report['environment'])}."]
    if threads := report["threads"]:
        more = threads["ours_per_s"] / threads["theirs_per_s"]
        lines.append(f"Eight threads on eight connections read {more:.1f} times as many rows in a second.")
    return "\n\n".join(lines)


def today(report: dict[str, Any]) -> str:
    """A table of whole operations on real servers: a row for each pool and load, ours beside theirs."""
    rows = [("ours / theirs", "", "operations/s", "longest wait / ideal", "fewest / mean")]
    for one in report["rows"]:
        sides = one["ours"], one["theirs"]
        rows.append(
            (
                one["pool"],
                in_words(one),
                f"{one['times']:.2f}{_TIMES} ({' / '.join(_whole(side) for side in sides)})",
                " / ".join(f"{side['longest_wait_of_ideal']:.1f}" for side in sides),
                " / ".join(f"{side['fewest_of_mean']:.2f}" for side in sides),
            )
        )
    return f"{_markdown(rows)}\n\n{environment_line(report['environment'])}."


def _whole(side: dict[str, float]) -> str:
    return f"{side['ops_per_s']:,.0f}"


def _each(one: dict[str, Any]) -> tuple[str, str]:
    return duration(one["ours_ns"] / one["parts"] / 1e9), f"{one['ours_ns'] / one['theirs_ns']:.3f}"


def _times(found: dict[str, Any]) -> str:
    """How many times ours the library's time is."""
    return _measured(found)[0] + (f", {found['target']}{_TIMES} (missed)" if found["verdict"] == "missed" else "")


def _share(found: dict[str, Any]) -> str:
    """Our time, as a share of the library's."""
    ours, theirs = (found["figures"][f"{whose}_ns"] for whose in ("ours", "theirs"))
    return f"{duration(ours / 1e9)}, {ours / theirs:.3f}"


def _about(report: dict[str, Any], question: str) -> list[dict[str, Any]]:
    return [found for found in report["findings"] if found["question"] == question]


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
