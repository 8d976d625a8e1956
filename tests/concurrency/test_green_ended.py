"""Greenlets that ended while holding a lease: of gevent, of eventlet, and raw ones."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.process._scripts import run_case

CASES = Path(__file__).with_name("_green_ended.py")
NAMES = re.findall(r"^def case_(\w+)", CASES.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize(
    "library", ["gevent", *(pytest.param(one, marks=pytest.mark.stress) for one in ("eventlet", "raw"))]
)
def test_case(case: str, library: str) -> None:
    for name in {"raw": ("greenlet", "gevent")}.get(library, (library,)):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    run_case(CASES, library, case, "never")
