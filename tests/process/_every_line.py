"""At every line that a public call runs, something happens that a signal handler or a finalizer might do.

    python _every_line.py CALL      prints "well"

`sys.settrace` runs it in the place of the k-th line, for k = 1, 2, 3 … (or some of them, where there are many) until
the call ends before its k-th line; in the same thread, as a handler does, and in another one, which waits for whatever
lock the line holds. CPython tells no lines of compiled code, which no handler interrupts.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import pickle
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastpool
from fastpool.metrics._watched import Watched
from tests._slots import in_hand

HERE = str(Path(fastpool.__file__).parent)
PATIENCE = 60.0  # for all lines of one call
SHORT = 5.0
SERVERS = ["a:1", "b:2"]
MOST = 3


class Thing:
    """A connection, to whichever server, that counts how often it is closed."""

    def __init__(self, server: Any = None) -> None:
        self.server = server
        self.closes = 0
        OPENED.append(self)

    def close(self) -> None:
        self.closes += 1


OPENED: list[Thing] = []


def check(c: Thing) -> bool:
    """Every connection is looked at."""
    return c.closes == 0


def reset(c: Thing) -> None:
    """Every connection is reset."""


async def later(server: Any = None) -> Thing:
    """Opened with await."""
    await asyncio.sleep(0)
    return Thing(server)


class Listener:
    """Hears the most of what can be heard."""

    def heard(self, event: Any) -> None:
        assert event.name

    connected = closed_connection = checked_out = checked_in = pool_closed = checkout_failed = heard


def pool_of(**options: Any) -> fastpool.Pool:
    """A pool in which much is to be done."""
    return fastpool.Pool(
        Thing, check=check, reset=reset, servers=SERVERS, max_size=MOST, max_idle=2, max_uses=5, check_after=0,
        timeout=SHORT, **options,
    )  # fmt: skip


Call = Callable[[Any], None]


def make(pool: Any) -> None:
    """The whole life of another pool."""
    with pool_of(listeners=[Listener()]) as made:
        made.warm(1)


def kept(pool: Any) -> None:
    """The whole life of a pool that the keeper looks after."""
    with pool_of(min_size=1, idle_timeout=60, open=False) as made:
        made.resize(min_size=2)


def block(pool: Any) -> None:
    """Two blocks, one in the other."""
    with pool.connection(), pool.connection():
        pass


def by_hand(pool: Any) -> None:
    """Out and in."""
    c = pool.checkout()
    pool.checkin(c)


def failing(pool: Any) -> None:
    """A block that fails, and its connection with it."""
    try:
        with pool.connection():
            raise KeyError("mine")
    except KeyError:
        pass


def exhausted(pool: Any) -> None:
    """One too many."""
    with pool.connection(), pool.connection(), pool.connection():
        try:
            pool.checkout(timeout=0)
        except fastpool.NoConnectionsAvailable:
            return
        raise AssertionError("there was one too many")


def open_(pool: Any) -> None:
    """Again, which is harmless."""
    pool.open()


def close(pool: Any) -> None:
    """At once, and a second time."""
    pool.close()
    pool.close(timeout=0)


def warm(pool: Any) -> None:
    """All that may be open."""
    pool.warm()


def resize(pool: Any) -> None:
    """Down, and up again."""
    pool.resize(max_size=1)
    pool.resize(max_size=MOST)


def clear(pool: Any) -> None:
    """All are replaced."""
    pool.clear("because")


def look(pool: Any) -> None:
    """All that it says of itself."""
    try:
        with pool.connection(timeout=0):
            assert pool.leases() or pool.closed
    except fastpool.NoConnectionsAvailable:
        assert pool.leases()
    except fastpool.PoolClosed:
        assert pool.closed
    assert pool.stats().name == pool.name
    assert pool.name in repr(pool)
    assert len(pool) >= 0


def travel(pool: Any) -> None:
    """Pickled and found again; if it is closed, another of the same."""
    arrived = pickle.loads(pickle.dumps(pool))
    if arrived is not pool:
        arrived.close()


def arrive(pool: Any) -> None:
    """Pickled, closed, and made anew."""
    data = pickle.dumps(pool)
    pool.close()
    arrived = pickle.loads(data)
    with arrived.connection():
        pass
    arrived.close()


def tasks(pool: Any) -> None:
    """A task of a loop takes a connection."""

    async def task() -> None:
        async with pool.aconnection():
            pass

    asyncio.run(task())


def awaited(pool: Any) -> None:
    """The life of a pool of a loop's, with what is not awaited in it."""

    async def life() -> None:
        async with fastpool.AsyncPool(later, servers=SERVERS, max_size=MOST, max_uses=2) as one:
            peers.append(one)
            async with one.connection():
                look_at(one)
            c = await one.checkout()
            one.checkin(c)
            await one.warm(2)
        peers.clear()

    try:
        asyncio.run(life())
    finally:
        peers.clear()


peers: list[Any] = []


def look_at(pool: Any) -> None:
    """What can be asked without a connection."""
    pool.stats(), pool.leases(), repr(pool), len(pool)


watched = Watched()


def scrape(pool: Any) -> None:
    """Reported, and no more."""
    watched.add(pool)
    for one, stats in watched.stats():
        assert one.name == stats.name
    watched.discard(pool)


CALLS: dict[str, Call] = {
    "make": make,
    "kept": kept,
    "block": block,
    "by hand": by_hand,
    "failing": failing,
    "exhausted": exhausted,
    "open": open_,
    "close": close,
    "warm": warm,
    "resize": resize,
    "clear": clear,
    "look": look,
    "travel": travel,
    "arrive": arrive,
    "scrape": scrape,
    "tasks": tasks,
    "awaited": awaited,
}


# ---- what strikes


def use(pool: Any) -> None:
    """What is free is used, in both ways."""
    try:
        with pool.connection(timeout=0):
            pass
        pool.checkin(pool.checkout(timeout=0))
    except (fastpool.NoConnectionsAvailable, fastpool.PoolClosed):
        pass


def change(pool: Any) -> None:
    """Other sizes, and other connections."""
    for one in (pool, *peers):
        if not one.closed:
            one.resize(max_idle=1)
            one.clear()
            one.resize(max_idle=2)
            look_at(one)


STRIKES: dict[str, Call] = {"make": make, "use": use, "close": close, "change": change, "look": look, "scrape": scrape}
STRIKES |= {"kept": kept, "travel": travel}


class Injector:
    """Runs ``strike`` once, in the place of the k-th line of ours."""

    def __init__(self, k: int, strike: Callable[[], None]) -> None:
        self.left = k
        self.strike = strike
        self.where = ""

    def trace(self, frame: Any, event: str, argument: Any) -> Any:
        """The global and the local trace function."""
        name = frame.f_code.co_filename
        if not name.startswith(HERE):
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.where = f"{Path(name).name}:{frame.f_lineno}"
                try:
                    self.strike()
                except BaseException as error:
                    error.add_note(f"it struck at {self.where}")
                    failures.append(error)
        return self.trace


failures: list[BaseException] = []


def elsewhere(strike: Callable[[], None]) -> None:
    """Do it in another thread, and wait: a lock that the line holds would be waited for."""

    def work() -> None:
        try:
            strike()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()  # the watchdog bounds it


def struck(call: Call, strike: Call, k: int, in_thread: bool) -> bool:
    """Make the call with a strike at its k-th line; False: it has fewer lines."""
    OPENED.clear()
    pool = pool_of(name="struck")
    with pool.connection():
        pass
    injector = Injector(k, (lambda: elsewhere(lambda: strike(pool))) if in_thread else (lambda: strike(pool)))
    before = sys.gettrace()
    sys.settrace(injector.trace)
    try:
        call(pool)
    except (fastpool.PoolClosed, fastpool.NoConnectionsAvailable):
        pass  # it is closed, or used up, at this very moment
    finally:
        sys.settrace(before)
    if failures:
        raise failures[0]
    try:
        whole(pool)
    except BaseException as error:
        error.add_note(f"after a strike at line {k}, {injector.where}")
        raise
    return injector.left <= 0


def lines_of(call: Call) -> int:
    """How many lines of ours a call runs."""
    injector = Injector(0, lambda: None)
    sys.settrace(injector.trace)
    try:
        call(pool_of())
    finally:
        sys.settrace(None)
    return -injector.left


def whole(pool: Any) -> None:
    """Whoever asks now is served, and nothing is open that nobody has."""
    stats = pool.stats()
    assert (stats.leased, stats.connecting, stats.waiting, in_hand(pool)) == (0, 0, 0, 0), pool
    if not pool.closed:
        with pool.connection(), pool.connection(), pool.connection():
            assert len(pool) == MOST
    pool.close()
    until = time.monotonic() + SHORT
    while not all(thing.closes for thing in OPENED) and time.monotonic() < until:
        time.sleep(0.001)  # the worker of a task closes when it comes to it
    assert [thing.closes for thing in OPENED] == [1] * len(OPENED), (pool, [thing.closes for thing in OPENED])


def main(name: str) -> None:
    """All lines of one call, with all that may strike."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    call = CALLS[name]
    call(pool_of())  # all that is imported
    lines = lines_of(call)
    assert lines > 3, "the lines were not seen"
    for in_thread, most in ((False, 300), (True, 100)):
        step = 1 + lines // most  # a sample where there are many, another one for each strike
        for number, strike in enumerate(STRIKES.values()):
            k = 1 + number % step
            while struck(call, strike, k, in_thread):
                k += step
            gc.collect()
    faulthandler.cancel_dump_traceback_later()
    print("well")


if __name__ == "__main__":
    main(sys.argv[1])
