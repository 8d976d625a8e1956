"""gevent: patched before the pool was made, after it, or not at all; each case in a process of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.process._scripts import run_case

pytest.importorskip("gevent", reason="gevent is not installed")

CASES = Path(__file__).with_name("_gevent_cases.py")
NAMES = [
    name
    for path in (CASES, CASES.with_name("_gevent_line.py"), CASES.with_name("_green_alike.py"))
    for name in re.findall(r"^def case_(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
]
ONLY = {"raw_greenlets": ["never"]}  # the other cases start hubs of their own


@pytest.mark.parametrize(
    ("case", "when"), [(case, when) for case in NAMES for when in ONLY.get(case, ["before", "after", "never"])]
)
def test_case(case: str, when: str) -> None:
    run_case(CASES, case, when)
