"""eventlet: patched before the pool was made, after it, or not at all; each case in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process._scripts import run_case

TRY = "import eventlet; eventlet.monkey_patch(); eventlet.spawn(int).wait()"
works = subprocess.run([sys.executable, "-W", "ignore", "-c", TRY], capture_output=True, text=True, timeout=60)
if works.returncode != 0:
    pytest.skip(
        f"eventlet is not installed, or does not work here: {works.stderr.strip().splitlines()[-1:]}",
        allow_module_level=True,
    )

CASES = Path(__file__).with_name("_eventlet_cases.py")
NAMES = [
    name
    for path in (CASES, CASES.with_name("_green_alike.py"))
    for name in re.findall(r"^def case_(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
]


ALWAYS = {"hub_runs_on", "timeout_and_kill", "woken_by_a_thread"}  # of the other cases only "before" runs by default


@pytest.mark.parametrize(
    ("case", "when"),
    [
        pytest.param(case, when, marks=() if when == "before" or case in ALWAYS else pytest.mark.stress)
        for case in NAMES
        for when in ("before", "after", "never")
    ],
)
def test_case(case: str, when: str) -> None:
    run_case(CASES, case, when)
