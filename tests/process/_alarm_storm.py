"""One public call again and again, under a storm of alarms whose handler raises; then everybody else must be served.

    python _alarm_storm.py CALL      prints "well"

An exception may end any call at any moment. It must not leave behind what others wait for.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import fastpool

SECONDS = 0.5
ALARMS = 60
PATIENCE = 30.0
SERVERS = ["a:1", "b:2"]
MOST = 4


class Alarm(BaseException):
    """What the handler raises."""


class Thing:
    """A connection, to whichever server."""

    def __init__(self, server: Any = None) -> None:
        self.server = server

    def close(self) -> None:
        pass


pool = fastpool.Pool(Thing, max_size=MOST, max_uses=1, servers=SERVERS, timeout=PATIENCE, name="stormy")


def block() -> None:
    """With servers, each connection is used once, so each block chooses a server."""
    with pool.connection():
        pass


def by_hand() -> None:
    """What an alarm prevents from being given back is out for good, and replaced when it is found to be lost."""
    c = pool.checkout()
    pool.checkin(c)


def make() -> None:
    """Made, used and closed."""
    with fastpool.Pool(Thing, servers=SERVERS) as made, made.connection():
        pass


def open_and_close() -> None:
    """Opened later than made."""
    late = fastpool.Pool(Thing, servers=SERVERS, open=False)
    late.open()
    late.warm(1)
    late.close()


def keep() -> None:
    """Looked after by the keeper."""
    with fastpool.Pool(Thing, servers=SERVERS, min_size=1, idle_timeout=60):
        pass


def warm() -> None:
    """As many as there may be, and none again."""
    pool.warm()
    pool.clear()


def resize() -> None:
    """Smaller and larger."""
    pool.resize(max_size=2)
    pool.resize(max_size=MOST)


def look() -> None:
    """All that a pool says of itself."""
    with pool.connection():
        pool.leases()
        pool.stats()
        repr(pool)
        len(pool)


def travel() -> None:
    """There and back, and as another that arrives."""
    assert pickle.loads(pickle.dumps(pool)) is pool


def scrape() -> None:
    """All numbers for Prometheus, by a collector that others change meanwhile."""
    from fastpool.metrics.prometheus import PoolCollector

    collector = collectors.setdefault("one", PoolCollector())
    collector.add(pool)
    assert list(collector.collect())
    collector.discard(pool)


collectors: dict[str, Any] = {}

CALLS: dict[str, Callable[[], None]] = {
    "block": block,
    "by hand": by_hand,
    "make": make,
    "open": open_and_close,
    "keep": keep,
    "warm": warm,
    "resize": resize,
    "look": look,
    "travel": travel,
    "scrape": scrape,
}

armed = False


def strike(signum: int, frame: object) -> None:
    """One blow at a time, or nobody could catch them all."""
    global armed
    if armed:
        armed = False
        raise Alarm


def storm(call: Callable[[], None]) -> int:
    """Call it until enough alarms have struck; how many did."""
    global armed
    alarms = 0
    end = time.monotonic() + SECONDS
    delay = 0.00005

    def again() -> None:  # since 3.13 a `try` around a loop does not cover the jump back to its beginning
        global armed
        while time.monotonic() < end or alarms < ALARMS:
            armed = True
            call()
        armed = False

    call()  # all that it imports: on 3.14 an alarm in an import leaves the interpreter's own lock of imports taken
    signal.signal(signal.SIGALRM, strike)
    while time.monotonic() < end or alarms < ALARMS:
        delay = delay * 1.07 if delay < 0.001 else 0.00005
        signal.setitimer(signal.ITIMER_REAL, delay, 0.001)
        try:
            again()
        except Alarm:
            alarms += 1
    armed = False
    signal.setitimer(signal.ITIMER_REAL, 0)
    return alarms


def others_are_served() -> None:
    """A thread that knows nothing of all this does what a program does."""
    done = []

    def work() -> None:
        for _ in range(5):
            with pool.connection(timeout=PATIENCE):
                pool.stats()
                pool.leases()
            with fastpool.Pool(Thing, servers=SERVERS, min_size=1, idle_timeout=60) as other, other.connection():
                assert pickle.loads(pickle.dumps(other)) is other
        assert pickle.loads(pickle.dumps(pool)) is pool
        for collector in collectors.values():
            collector.add(pool)
            assert list(collector.collect())
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()  # the watchdog bounds it
    assert done, "another thread is not served"


def at_rest() -> bool:
    """Whether all connections can be had at once, and nobody holds or opens anything after that."""
    gc.collect()
    with contextlib.ExitStack() as blocks:  # what was lost by hand is found by who finds nothing free
        for _ in range(MOST):
            blocks.enter_context(pool.connection(timeout=PATIENCE))
    stats = pool.stats()
    return (stats.leased, stats.connecting, stats.waiting) == (0, 0, 0)


def main(name: str) -> None:
    """Run the storm of one call."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    storm(CALLS[name])
    pool.resize(max_size=MOST)  # the storm may have ended between its two sizes
    others_are_served()
    until = time.monotonic() + PATIENCE / 2
    while not at_rest():
        assert time.monotonic() < until, pool
        time.sleep(0.001)
    pool.close()
    faulthandler.cancel_dump_traceback_later()
    print("well")


if __name__ == "__main__":
    main(sys.argv[1])
