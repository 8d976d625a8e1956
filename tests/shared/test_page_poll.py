"""Where a system has no futex, a thread that sleeps until another process writes looks each 10 ms."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import pytest

from tests.core.native import load
from tests.shared._party import PATIENCE, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is compiled with what Linux has")
MS = 1_000_000


@pytest.fixture
def word() -> Any:
    word = load("_page_poll", "tests/_page_poll.pyx").Word()
    word.reset()
    return word


def test_a_sleeper_finds_what_was_written_while_it_slept(word: Any) -> None:
    sleeper = threading.Thread(target=word.wait, args=(0, 3600_000 * MS), daemon=True)
    sleeper.start()
    wait_until(lambda: word.naps >= 3)
    assert sleeper.is_alive() and word.nap_ns == 10 * MS
    word.write(1)
    sleeper.join(PATIENCE)
    assert not sleeper.is_alive()


def test_what_was_written_before_it_sleeps_is_seen_at_once(word: Any) -> None:
    word.write(1)
    word.wait(0, 3600_000 * MS)
    assert word.naps == 0


def test_it_ends_when_its_time_is_over(word: Any) -> None:
    began = time.monotonic()
    word.wait(0, 25 * MS)
    assert time.monotonic() - began > 0.02
    assert word.value == 0 and 1 <= word.naps <= 3
