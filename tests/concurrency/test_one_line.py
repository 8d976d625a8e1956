"""Threads, tasks and greenlets in one line of one Pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process._scripts import run_case

pytest.importorskip("gevent", reason="gevent is not installed")

PROGRAM = Path(__file__).with_name("_one_line_program.py")


@pytest.mark.parametrize("seed", range(3))
def test_first_come_first_served_whatever_one_is(seed: int) -> None:
    run_case(PROGRAM, "order", str(seed), "0")


@pytest.mark.parametrize("closes_it", range(3), ids=["task", "greenlet", "thread"])
def test_a_circle_of_a_thread_a_greenlet_and_a_task_is_told_to_the_one_that_closes_it(closes_it: int) -> None:
    run_case(PROGRAM, "circle", str(closes_it), "0")


@pytest.mark.parametrize(
    ("seed", "operations", "seconds"),
    [
        pytest.param(0, 12_000, 110, marks=pytest.mark.timeout(120)),
        pytest.param(1, 12_000, 110, marks=pytest.mark.timeout(120)),
        pytest.param(2, 1_000_000, 2500, marks=[pytest.mark.timeout(2600), pytest.mark.stress]),  # 5 minutes or more
    ],
)
def test_no_slot_is_lost_in_a_storm_of_cancellations_kills_and_timeouts(
    seed: int, operations: int, seconds: float
) -> None:
    run_case(PROGRAM, "storm", str(seed), str(operations), seconds=seconds)
