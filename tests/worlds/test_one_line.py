"""Threads, tasks and greenlets in one line of one Pool."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.process._scripts import run

pytest.importorskip("gevent", reason="gevent is not installed")

PROGRAM = Path(__file__).with_name("_one_line_program.py").read_text(encoding="utf-8")
OPERATIONS = int(os.environ.get("FASTPOOL_OPERATIONS", "12000"))  # a million in a long run


@pytest.mark.parametrize("seed", range(3))
def test_first_come_first_served_whatever_one_is(seed: int) -> None:
    assert run(PROGRAM, "order", str(seed), "0").strip() == "well"


@pytest.mark.timeout(120 + OPERATIONS / 300)
@pytest.mark.parametrize("seed", range(2))
def test_no_slot_is_lost_in_a_storm_of_cancellations_kills_and_timeouts(seed: int) -> None:
    assert run(PROGRAM, "storm", str(seed), str(OPERATIONS), seconds=100 + OPERATIONS / 400).strip() == "well"
