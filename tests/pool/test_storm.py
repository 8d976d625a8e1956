"""Every call of the driver fails now and then, while threads use the pool in every way with random options; then faults
stop, every count must be exact, and max_size checkouts at once succeed."""

from __future__ import annotations

import gc
import logging
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import fastpool
from tests.pool.fake_driver import balanced, serves, until
from tests.pool.storm import Caller, Stormy

STEPS = {"connect before", "connect after", "check", "reset", "close", "fileno", "usable"}


def options(rng: random.Random) -> dict[str, Any]:
    return {
        "max_size": rng.randint(1, 5),
        "max_overflow": rng.choice((0, 0, 2, -1)),
        "max_idle": rng.choice((None, 2)),
        "max_waiting": rng.choice((None, 2)),
        "max_lifetime": rng.choice((None, 0.02, 0.2)),
        "idle_timeout": rng.choice((None, 0.005, 0.05)),
        "max_uses": rng.choice((None, 1, 20)),
        "check_after": rng.choice((None, 0, 0, 0.002)),
        "keepalive": rng.choice((None, 0.01)),
        "max_connecting": rng.choice((1, 2, 10)),
        "leak_after": rng.choice((None, 0.001)),
        "nested": rng.choice((False, True)),
        "timing": rng.choice((False, True)),
        "listeners": rng.choice(((), ({"checked_in": lambda event: None, "closed_connection": lambda event: None},))),
    }


def descriptors() -> int:
    """The number of open descriptors of this process; 0 where that cannot be counted."""
    table = Path("/proc/self/fd")
    return len(os.listdir(table)) if table.is_dir() else 0


def storm(seed: int, seconds: float) -> Stormy:
    """One pool, one set of options, that many seconds; returns the driver if all is well at the end."""
    rng = random.Random(seed)
    gc.collect()  # the pools that other tests left
    before = descriptors()
    driver = Stormy(seed * 1000)
    chosen = options(rng)
    pool = fastpool.Pool(driver=driver, timeout=5, **chosen)
    over = threading.Event()
    callers = [Caller(pool, rng.random(), over) for _ in range(rng.randint(2, 8))]
    for caller in callers:
        caller.start()
    time.sleep(seconds)  # how long the storm lasts
    until(lambda: all(caller.turns for caller in callers), "a turn of everyone's")
    over.set()
    for caller in callers:
        caller.join(20)
    told = f"seed {seed}, {chosen}"
    assert [caller.is_alive() for caller in callers] == [False] * len(callers), told
    assert [wrong for caller in callers for wrong in caller.wrong] == [], told
    driver.calm.set()
    pool.resize(min_size=0, max_size=4, max_overflow=0, max_idle=None)
    until(lambda: exact(pool, driver), f"exact counts of {pool!r} ({told})")
    serves(pool, 4, 10)
    until(lambda: exact(pool, driver), f"exact counts of {pool!r} ({told})")
    pool.close(timeout=0)
    until(lambda: all(c.closes == 1 for c in driver.made), f"all closed ({told})")
    assert balanced(pool).size == 0, told
    # a close that another thread began may be half way
    until(lambda: descriptors() <= before, f"no more descriptors than before: {before} ({told})")
    return driver


def exact(pool: Any, driver: Stormy) -> bool:
    """Whether nothing is leased or under way and all counts agree; the keeper may be at work, so the caller polls."""
    stats = pool.stats()
    return (
        stats.connecting == stats.waiting == stats.leased == 0
        and stats.checkouts == stats.checkins
        and stats.size == stats.idle
        and stats.connects == sum(stats.closed.values()) + stats.size
        and sum(not c.closed for c in driver.made) == stats.size
        and all(c.closes <= 1 for c in driver.made)
    )


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Any:
    """Discard the log: what is logged is expected."""
    logger = logging.getLogger("fastpool")
    logger.disabled = True
    yield
    logger.disabled = False


def test_a_short_storm() -> None:
    seen: set[str] = set()
    for seed in range(30):
        seen |= {step for step, _ in storm(seed, 0.5).faults}
        if seed >= 5 and seen == STEPS:  # a slow machine may need more than six
            break
    assert seen == STEPS, "no fault in some step: the storm is too weak to show anything"


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_a_storm_of_a_minute() -> None:
    deadline = time.monotonic() + 60
    faults, seed = 0, 100
    while time.monotonic() < deadline or faults < 10_000:
        faults += sum(storm(seed, 2).faults.values())
        seed += 1
