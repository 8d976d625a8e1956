"""Draw the pictures, or measure what they show.

python -m bench.figures                     draw docs/figures/*.svg from bench/figures/*.json and demo.cast
python -m bench.figures measure [WHAT …]    measure first: checkout, waits, recovery, demo; all if none is named
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastpool._cli.compare.findings import environment

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = Path(__file__).resolve().parent
PICTURES = ROOT / "docs" / "figures"
CAST = DATA / "demo.cast"
CHARTS = ("checkout", "waits", "recovery")
DEMO_TITLE = (
    "A terminal runs fastpool demo: one load through happybase's pool and through fastpool's, and then a table of what "
    "was faster, fairer and safer"
)


def draw(data: Path = DATA, to: Path = PICTURES) -> list[Path]:
    """Draw each picture whose figures are there; their paths."""
    from . import charts, terminal

    to.mkdir(parents=True, exist_ok=True)
    written = []
    for name in CHARTS:
        if (data / f"{name}.json").exists():
            report = json.loads((data / f"{name}.json").read_text(encoding="utf-8"))
            written += charts.save(getattr(charts, name), report, to / name)
    if (cast := data / CAST.name).exists():
        path = to / "demo.svg"
        path.write_text(terminal.animate(cast.read_text(encoding="utf-8"), DEMO_TITLE), encoding="utf-8")
        written.append(path)
    return written


def measure_checkout() -> None:
    command = [sys.executable, "-m", "bench", "--only", "cycle", "--plain", "--json", str(DATA / "checkout.json")]
    subprocess.run(command, check=True, timeout=900)


def measure_waits() -> None:
    from fastpool._cli.compare.load import served

    from . import waits

    where = environment()
    with served() as server:
        _write("waits", where, waits.measure((server.host, server.port), turns=3, seconds=4.0))


def measure_recovery() -> None:
    from . import recovery

    where = environment()
    _write("recovery", where, recovery.measure(turns=3))


def measure_demo() -> None:
    from . import terminal

    terminal.record([sys.executable, "-m", "fastpool", "demo", "--seconds", "20"], CAST)


MEASURES: dict[str, Callable[[], None]] = {
    "checkout": measure_checkout,
    "waits": measure_waits,
    "recovery": measure_recovery,
    "demo": measure_demo,
}


def _write(name: str, where: dict[str, Any], found: dict[str, Any]) -> None:
    text = json.dumps({"environment": where, **found}, indent=1)
    (DATA / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    measure = commands.add_parser("measure", help="measure what the pictures show, then draw them")
    measure.add_argument("what", nargs="*", choices=[*MEASURES, []], help="only this; may be repeated")
    given = parser.parse_args()
    if given.command == "measure":
        for name in given.what or MEASURES:
            print(f"measuring: {name}", file=sys.stderr)
            MEASURES[name]()
    for path in draw():
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
