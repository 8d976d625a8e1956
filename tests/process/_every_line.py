"""At every line that a public call runs, something is done that a signal handler or a finalizer might do.

    python _every_line.py CALL      prints "well"

`sys.settrace` does it before the k-th line, for k = 1, 2, 3 … (or a sample, where there are many) until the call ends
before its k-th line; in the same thread, as a handler does, and in another one, which waits for any lock that the line
holds. CPython traces no lines of compiled code, which no handler interrupts.
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
    """A connection to any of the servers, that counts its closes."""

    def __init__(self, server: Any = None) -> None:
        self.server = server
        self.closes = 0
        OPENED.append(self)

    def close(self) -> None:
        self.closes += 1


OPENED: list[Thing] = []


def check(c: Thing) -> bool:
    """A check that every connection passes."""
    return c.closes == 0


def reset(c: Thing) -> None:
    """A reset that does nothing."""


async def later(server: Any = None) -> Thing:
    """A connect that is awaited."""
    await asyncio.sleep(0)
    return Thing(server)


class Listener:
    """A listener with most of the events."""

    def heard(self, event: Any) -> None:
        assert event.name

    connected = closed_connection = checked_out = checked_in = pool_closed = checkout_failed = heard


def pool_of(**options: Any) -> fastpool.Pool:
    """A pool with most of the options set."""
    return fastpool.Pool(
        Thing, check=check, reset=reset, servers=SERVERS, max_size=MOST, max_idle=2, max_uses=5, check_after=0,
        timeout=SHORT, **options,
    )  # fmt: skip


Call = Callable[[Any], None]


def make(pool: Any) -> None:
    """Make, use and close another pool."""
    with pool_of(listeners=[Listener()]) as made:
        made.warm(1)


def kept(pool: Any) -> None:
    """Make, use and close a pool with a keeper."""
    with pool_of(min_size=1, idle_timeout=60, open=False) as made:
        made.resize(min_size=2)


def block(pool: Any) -> None:
    """Two nested blocks."""
    with pool.connection(), pool.connection():
        pass


def by_hand(pool: Any) -> None:
    """A checkout and a checkin."""
    c = pool.checkout()
    pool.checkin(c)


def failing(pool: Any) -> None:
    """A block that fails and costs its connection."""
    try:
        with pool.connection():
            raise KeyError("mine")
    except KeyError:
        pass


def exhausted(pool: Any) -> None:
    """One checkout more than there are connections."""
    with pool.connection(), pool.connection(), pool.connection():
        try:
            pool.checkout(timeout=0)
        except fastpool.NoConnectionsAvailable:
            return
        raise AssertionError("there was one too many")


def open_(pool: Any) -> None:
    """Open an open pool, which is harmless."""
    pool.open()


def close(pool: Any) -> None:
    """Close at once, and a second time."""
    pool.close()
    pool.close(timeout=0)


def warm(pool: Any) -> None:
    """Open all connections."""
    pool.warm()


def resize(pool: Any) -> None:
    """Resize it down and up."""
    pool.resize(max_size=1)
    pool.resize(max_size=MOST)


def clear(pool: Any) -> None:
    """Clear the pool."""
    pool.clear("because")


def look(pool: Any) -> None:
    """Read everything that it reports."""
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


def pickled(pool: Any) -> None:
    """Pickle and unpickle; a closed pool becomes another one."""
    arrived = pickle.loads(pickle.dumps(pool))
    if arrived is not pool:
        arrived.close()


def arrive(pool: Any) -> None:
    """Pickle, close and make anew."""
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
    """An AsyncPool from open to close, with the calls that do not await."""

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
    """Make the calls that need no connection."""
    pool.stats(), pool.leases(), repr(pool), len(pool)


watched = Watched()


def scrape(pool: Any) -> None:
    """Collect the figures, and unregister the pool."""
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
    "pickled": pickled,
    "arrive": arrive,
    "scrape": scrape,
    "tasks": tasks,
    "awaited": awaited,
}


# ---- what strikes


def use(pool: Any) -> None:
    """Use what is free, by block and by hand."""
    try:
        with pool.connection(timeout=0):
            pass
        pool.checkin(pool.checkout(timeout=0))
    except (fastpool.NoConnectionsAvailable, fastpool.PoolClosed):
        pass


def change(pool: Any) -> None:
    """Change sizes and connections."""
    for one in (pool, *peers):
        if not one.closed:
            one.resize(max_idle=1)
            one.clear()
            one.resize(max_idle=2)
            look_at(one)


STRIKES: dict[str, Call] = {"make": make, "use": use, "close": close, "change": change, "look": look, "scrape": scrape}
STRIKES |= {"kept": kept, "pickled": pickled}


class Injector:
    """Runs ``strike`` once, before the k-th line of fastpool's own code."""

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
    """Run it in another thread, and wait, so that a lock that the line holds is waited for."""

    def work() -> None:
        try:
            strike()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()  # the watchdog ends a hang


def struck(call: Call, strike: Call, k: int, in_thread: bool) -> bool:
    """Make the call with a strike at its k-th line; False if it has fewer lines."""
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
        pass  # it is closed, or exhausted, at this moment
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
    """The number of lines of fastpool's own code that a call runs."""
    injector = Injector(0, lambda: None)
    sys.settrace(injector.trace)
    try:
        call(pool_of())
    finally:
        sys.settrace(None)
    return -injector.left


def whole(pool: Any) -> None:
    """Callers are served, and no connection is open that the pool does not know of."""
    stats = pool.stats()
    assert (stats.leased, stats.connecting, stats.waiting, in_hand(pool)) == (0, 0, 0, 0), pool
    if not pool.closed:
        with pool.connection(), pool.connection(), pool.connection():
            assert len(pool) == MOST
    pool.close()
    until = time.monotonic() + SHORT
    while not all(thing.closes for thing in OPENED) and time.monotonic() < until:
        time.sleep(0.001)  # the worker of a task closes it later
    assert [thing.closes for thing in OPENED] == [1] * len(OPENED), (pool, [thing.closes for thing in OPENED])


def main(name: str) -> None:
    """Test all lines of one call with every strike."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    call = CALLS[name]
    call(pool_of())  # everything that it imports
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
