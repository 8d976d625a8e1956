"""gevent and eventlet alike: kills and timeouts at every point, hubs that never block, checkins that never switch."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.process._scripts import run, run_case

CASES = Path(__file__).with_name("_green_points.py")
NAMES = re.findall(r"^def case_(\w+)", CASES.read_text(encoding="utf-8"), re.MULTILINE)
BY_DEFAULT = {("gevent", "never", name) for name in NAMES} | {
    ("eventlet", "before", name) for name in ("at_every_stage", "at_the_very_hand_off")
}


@pytest.mark.parametrize(
    ("library", "when", "case"),
    [
        pytest.param(library, when, case, marks=() if (library, when, case) in BY_DEFAULT else pytest.mark.stress)
        for library in ("gevent", "eventlet")
        for when in ("before", "after", "never")
        for case in NAMES
    ],
)
def test_case(library: str, when: str, case: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    run_case(CASES, library, case, when)


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_imported_when_the_pool_was_in_use_already(library: str) -> None:
    """The first event after the import is that a greenlet has to wait."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    run(
        f"""
import fastpool
pool = fastpool.Pool(object, max_size=1, timeout=20)
c = pool.checkout()
import {library}
got = []
{library}.spawn(lambda: got.append(pool.checkout()))
{library}.sleep(0.001)
assert got == [] and pool.stats().waiting == 1, "the hub runs on"
pool.checkin(c)
while not got:
    {library}.sleep(0)
assert got == [c]
"""
    )
