"""Counts what a checkout and an import cost, and keeps the history of these counts: tests/pool/budgets.csv.

    python -m tests.pool.budget_history        add a row for each count that differs from its last row (make budgets)

Counts, not times: they are the same on every machine with the same Python. Instructions are those of one checkout and
checkin under Valgrind, so they depend on the compiler, too, and have rows of their own for each.
"""

from __future__ import annotations

import csv
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import fastpool
from fastpool._core import built_with

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILE = HERE / "budgets.csv"
KINDS = ("Pool", "ConnectionPool", "AsyncPool", "aconnection", "sockets")
FREE = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}{FREE}"
IMPORT = """
import sys
sys.path[:] = sys.argv[1:]
before = set(sys.modules)
import fastpool
new = set(sys.modules) - before
print(len([name for name in new if name.partition(".")[0] == "fastpool"]), len(new))
"""
CYCLES = """
import sys
sys.path[:] = sys.argv[2:]
import fastpool
with fastpool.Pool(object, max_size=4, close=lambda c: None) as pool:
    for _ in range(int(sys.argv[1])):
        with pool.connection():
            pass
"""
FEWER, MORE = 1000, 11_000


class Row(NamedTuple):
    """One line of the history; the count of the last line for the same `where` and `what` is the budget."""

    date: str
    version: str
    where: str  # the Python, and for instructions the processor and the compiler
    what: str
    count: float

    @property
    def key(self) -> tuple[str, str]:
        return self.where, self.what


def history() -> list[Row]:
    """All rows, oldest first."""
    with FILE.open(newline="", encoding="utf-8") as file:
        return [Row(**{**row, "count": float(row["count"])}) for row in csv.DictReader(file)]  # type: ignore[arg-type]


def budgets() -> dict[tuple[str, str], Row]:
    """(where, what) → the last row of it."""
    return {row.key: row for row in history()}


def _run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    # bytecode that is written or missing would be counted
    given = {**os.environ, "PYTHONHASHSEED": "0", **environment}
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=300, env=given, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stdout}{done.stderr}")
    return done


def cost(kind: str) -> dict[str, float]:
    """The frames, C calls, blocks and bytes of one checkout and checkin, as budget.py counts them."""
    found: dict[str, float] = json.loads(_run(sys.executable, HERE / "budget.py", kind).stdout)
    return found


def modules() -> dict[str, float]:
    """How many modules `import fastpool` imports: ours, and all."""
    ours, everything = _run(sys.executable, "-S", "-E", "-c", IMPORT, *sys.path).stdout.split()
    return {"of fastpool": float(ours), "in all": float(everything)}


def where_instructions_are_counted() -> str:
    """The Python, the processor and the compiler of the core."""
    return f"{PYTHON} {os.uname().machine} {built_with()['compiler'].strip()}"


def instructions() -> float | None:
    """Machine instructions of one checkout and checkin, to a tenth; None where there is no Valgrind."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None

    def counted(cycles: int) -> int:
        tool = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        done = _run(*tool, sys.executable, "-S", "-c", CYCLES, cycles, *sys.path)
        (found,) = re.findall(r"Collected : (\d+)", done.stderr)
        return int(found)

    _run(sys.executable, "-S", "-c", CYCLES, 1, *sys.path)  # so that all bytecode is there
    return round((counted(MORE) - counted(FEWER)) / (MORE - FEWER), 1)


def present(with_instructions: bool) -> Iterator[tuple[str, str, float]]:
    """(where, what, count) of everything that is counted."""
    for kind in KINDS:
        for what, count in cost(kind).items():
            yield PYTHON, f"{kind}: {what}", count
    for what, count in modules().items():
        yield PYTHON, f"import: modules {what}", count
    found = instructions() if with_instructions else None
    if found is not None:
        yield where_instructions_are_counted(), "Pool: instructions", found


def main() -> None:
    last = budgets()
    today = datetime.date.today().isoformat()
    new = [
        Row(today, fastpool.__version__, where, what, count)
        for where, what, count in present(with_instructions=True)
        if (where, what) not in last or last[where, what].count != count
    ]
    with FILE.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([*row[:-1], f"{row.count:g}"] for row in new)
    for row in new:
        before = f", before {last[row.key].count:g}" if row.key in last else ""
        print(f"{row.where}, {row.what}: {row.count:g}{before}")


if __name__ == "__main__":
    main()
