"""Storms of alarms whose handler raises, for each public call: an interrupted call leaves the pool usable.

On CPython 3.14 such a handler can run between a lock's ``__enter__`` and its block; the lock then stays taken.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.pool.fake_driver import FREE_THREADED

from ._alarm_storm import CALLS
from ._scripts import run_case

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")


@pytest.mark.parametrize("call", CALLS)
def test_after_a_storm_of_raising_alarms_everybody_is_served(call: str) -> None:
    if call == "by hand" and FREE_THREADED:
        pytest.skip("without the GIL it is not known that nobody refers to a connection: what was lost is not replaced")
    if call == "scrape":
        pytest.importorskip("prometheus_client")
    run_case(Path(__file__).with_name("_alarm_storm.py"), call)
