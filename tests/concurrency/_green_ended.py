"""Greenlets that ended while holding a lease: ``python _green_ended.py gevent|eventlet|raw CASE never`` prints "well".

The lease is reported once, with age and owner, when a caller finds the pool exhausted; it is ended only if nobody else
can return the connection.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable
from typing import Any

import greenlet

from tests.concurrency._green import api_of, arguments

library, case, _ = arguments()

import fastpool  # noqa: E402
from fastpool._core import Core, thread_is_alive  # noqa: E402

api = api_of("gevent" if library == "raw" else library)


class Thing:
    """A connection; only the pool refers to it, unless the test keeps a reference."""


told: list[Any] = []
said: list[str] = []
handler = logging.Handler()
handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
logging.getLogger("fastpool").addHandler(handler)
pool = fastpool.Pool(Thing, max_size=2, timeout=0.02, name="people", listeners=[{"leak_suspected": told.append}])
pool.warm()


def in_one_that_ends(work: Callable[[], Any]) -> None:
    """Run it in a greenlet of this thread, which ends."""
    if library == "raw":
        one = greenlet.greenlet(work)
        one.switch()
        assert one.dead
        return
    one = api.spawn(work)
    deadline = time.monotonic() + 10
    while not one.dead:
        assert time.monotonic() < deadline
        api.sleep(0)


def exhausted(timeout: float = 0.02) -> str:
    try:
        pool.checkout(timeout=timeout)
    except fastpool.NoConnectionsAvailable as error:
        return str(error)
    raise AssertionError("there was one")


def case_the_connection_is_referred_to() -> None:
    """The lease is reported once, when the pool is exhausted; it goes on, and anyone may return the connection."""
    left: list[Any] = []
    in_one_that_ends(lambda: left.append(pool.checkout()))
    (info,) = pool.leases()
    assert info.ended and "greenlet" in info.owner, info
    assert info.stack() == []
    with pool.connection(timeout=0):  # another connection is free, so no caller looks for leaks
        assert told == [] and said == []
        exhausted()
        assert [event.connection for event in told] == left and told[0].duration > 0
        assert len(said) == 1 and "'people'" in said[0] and "has been out for" in said[0], said
        assert "its owner has ended without giving it back" in said[0] and info.owner in said[0], said
        exhausted()
        exhausted(0)
        assert len(told) == len(said) == pool.stats().leaks == 1
    pool.checkin(left[0])
    assert pool.stats().connects == 2 and pool.stats().idle == 2


def case_the_connection_is_dropped() -> None:
    """The lease is ended and the connection replaced as soon as the pool is exhausted, and not before."""
    in_one_that_ends(pool.checkout)
    gc.collect()
    held = pool.checkout(timeout=0)
    assert pool.stats().leased == 2 and said == []
    pool.checkin(pool.checkout(timeout=0))
    assert any("was dropped without checkin()" in one for one in said), said
    pool.checkin(held)
    assert pool.stats().closed["error"] == 1 and pool.stats().idle == 2


def case_its_block_was_cut_short() -> None:
    """A greenlet that is collected or killed in its block ends the block: there is no leak to report."""

    def hold() -> None:
        with pool.connection():
            if library == "raw":
                greenlet.getcurrent().parent.switch()
            else:
                api.sleep(60)

    for _ in range(2):
        if library == "raw":
            one = greenlet.greenlet(hold)
            one.switch()
        else:
            one = api.spawn(hold)
            while pool.stats().leased == 0:
                api.sleep(0)
            one.kill()
        del one
        gc.collect()
        assert pool.stats().leased == 0, pool
    with pool.connection(timeout=0), pool.connection(timeout=0):
        exhausted()
    assert told == [] and said == []


def case_of_a_thread_that_has_ended() -> None:
    """A lease by hand of a thread that has ended, whose connection the test still refers to: reported, and not
    ended."""
    left: list[Any] = []
    uids: list[int] = []

    def thread() -> None:
        in_one_that_ends(lambda: left.extend((pool.checkout(), pool.checkout())))
        uids.append(Core._thread_uid())

    api.start_thread(thread, ())
    deadline = time.monotonic() + 10
    while not uids or thread_is_alive(uids[0]):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    exhausted()
    assert len(told) == len(said) == 2 and all("a thread that has ended" in one for one in said), said
    for c in left:
        pool.checkin(c)
    assert pool.stats().connects == 2


globals()["case_" + case]()
assert pool.stats().leased == 0, pool
print("well")
