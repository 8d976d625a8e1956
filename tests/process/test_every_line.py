"""A signal handler or a finalizer may use, close, change, make and pickle pools at every line of every public call."""

from __future__ import annotations

from pathlib import Path

import pytest

from ._every_line import CALLS
from ._scripts import run_case


@pytest.mark.timeout(90)
@pytest.mark.parametrize("call", CALLS)
def test_a_strike_at_every_line(call: str) -> None:
    run_case(Path(__file__).with_name("_every_line.py"), call, seconds=80)
