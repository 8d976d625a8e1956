"""Where macOS has os_sync_wait_on_address (14.4), a thread sleeps on it until another process writes; else it looks."""

from __future__ import annotations

import errno
import sys
import threading
import time
from typing import Any

import pytest

from tests.core.native import load
from tests.shared._party import PATIENCE, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a futex stands in for it")
MS = 1_000_000
FOUR_BYTES, SHARED, MACH_ABSOLUTE_TIME = 4, 1, 32  # as Apple's headers have them


def word(**how: Any) -> Any:
    return load("_page_os_sync", "tests/_page_os_sync.pyx").Word(**how)


def test_a_sleeper_is_woken_and_never_looks() -> None:
    shared = word()
    sleeper = threading.Thread(target=shared.wait, args=(0, 3600_000 * MS), daemon=True)
    sleeper.start()
    wait_until(lambda: shared.counts[0] == 1)
    assert sleeper.is_alive()
    wait_until(lambda: (shared.write(1), sleeper.join(0.1)) and not sleeper.is_alive())
    sleeps, wakes, naps = shared.counts
    assert sleeps == 1 and wakes >= 1 and naps == 0
    assert shared.said == (FOUR_BYTES, SHARED, MACH_ABSOLUTE_TIME, SHARED)


def test_it_ends_when_its_time_is_over() -> None:
    shared = word()
    began = time.monotonic()
    shared.wait(0, 25 * MS)
    assert time.monotonic() - began > 0.02 and shared.counts == (1, 0, 0)
    shared.wait(0, 0)
    assert shared.counts == (1, 0, 0), "no time: the call would refuse it"


def test_an_older_system_looks_each_10_ms() -> None:
    shared = word(there=False)
    sleeper = threading.Thread(target=shared.wait, args=(0, 3600_000 * MS), daemon=True)
    sleeper.start()
    wait_until(lambda: shared.counts[2] >= 3)
    shared.write(1)
    sleeper.join(PATIENCE)
    assert not sleeper.is_alive() and shared.counts[:2] == (0, 0)


@pytest.mark.parametrize(
    ("why", "naps"), [(errno.ENOMEM, 1), (errno.EINVAL, 1), (errno.EINTR, 0), (errno.ETIMEDOUT, 0)]
)
def test_a_call_that_fails_is_not_made_again_and_again(why: int, naps: int) -> None:
    shared = word(fails_with=why)
    shared.wait(0, 3600_000 * MS)
    assert shared.counts == (1, 0, naps)
