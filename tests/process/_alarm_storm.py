"""One public call repeatedly, under a storm of alarms whose handler raises; afterwards other threads must be served.

    python _alarm_storm.py CALL      prints "well"

An exception may end any call at any moment. It must not leave locks or slots taken.
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
    """Raised by the signal handler."""


class Thing:
    """A connection, to any of the servers."""

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
    """A connection that an alarm prevents from being returned stays leased, until the pool finds and replaces it."""
    c = pool.checkout()
    pool.checkin(c)


def make() -> None:
    """Make, use and close a pool."""
    with fastpool.Pool(Thing, servers=SERVERS) as made, made.connection():
        pass


def open_and_close() -> None:
    """Make a pool that is opened later, and close it."""
    late = fastpool.Pool(Thing, servers=SERVERS, open=False)
    late.open()
    late.warm(1)
    late.close()


def keep() -> None:
    """A pool with work for the keeper."""
    with fastpool.Pool(Thing, servers=SERVERS, min_size=1, idle_timeout=60):
        pass


def warm() -> None:
    """Open all connections, then close them."""
    pool.warm()
    pool.clear()


def resize() -> None:
    """Resize it down and up."""
    pool.resize(max_size=2)
    pool.resize(max_size=MOST)


def look() -> None:
    """Read everything that a pool reports."""
    with pool.connection():
        pool.leases()
        pool.stats()
        repr(pool)
        len(pool)


def pickled() -> None:
    """Pickle and unpickle: the same pool, and another one."""
    assert pickle.loads(pickle.dumps(pool)) is pool


def scrape() -> None:
    """Collect the Prometheus figures, of a collector that other threads change meanwhile."""
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
    "pickled": pickled,
    "scrape": scrape,
}

armed = False


def strike(signum: int, frame: object) -> None:
    """Raise, unless an earlier alarm is still being handled."""
    global armed
    if armed:
        armed = False
        raise Alarm


def storm(call: Callable[[], None]) -> int:
    """Call it until enough alarms have come; the number of them."""
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

    call()  # all that it imports: on 3.14 an alarm in an import leaves the interpreter's import lock taken
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
    """A new thread uses the pool as any program does."""
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
    thread.join()  # the watchdog ends a hang
    assert done, "another thread is not served"


def at_rest() -> bool:
    """Whether all connections can be checked out at once, and nothing is leased or connecting after that."""
    gc.collect()
    with contextlib.ExitStack() as blocks:  # a connection lost by hand is found by a caller that finds nothing free
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
