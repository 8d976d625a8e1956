"""Helpers for the tests of Pool: fake connections, a driver whose every call can be held or made to fail, threads whose
end is awaited, and conditions to wait for."""

from __future__ import annotations

import gc
import itertools
import socket
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import fastpool
from fastpool import _registry
from fastpool._keeper.keeper import keeper
from tests._slots import in_hand

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
frees_what_is_dropped = pytest.mark.skipif(
    FREE_THREADED, reason="without the GIL nothing frees a pool that is only dropped (decision 16)"
)

PATIENCE = 20.0  # real seconds: a test that takes longer has failed


class Failure(Exception):
    """Raised by a driver's call that was told to fail."""


class Abort(BaseException):
    """Raised like `Failure`, and not an Exception."""


class Connection:
    """A connection that records what was done to it."""

    def __init__(self, number: int, server: Any) -> None:
        self.number = number
        self.server = server
        self.closes = 0
        self.abandoned = 0
        self.dead = False
        self.holders = 0

    @property
    def closed(self) -> bool:
        return self.closes > 0

    def __repr__(self) -> str:
        return f"c{self.number}"


class Step:
    """One of the driver's methods: it can be held or made to fail, and a test can wait until it runs."""

    def __init__(self) -> None:
        self.calls = 0
        self.mode: Any = "ok"
        self.entered = threading.Semaphore(0)
        self.released = threading.Event()

    def run(self) -> None:
        self.calls += 1
        mode = self.mode
        if mode == "hold":
            self.entered.release()
            assert self.released.wait(PATIENCE), "held for too long"
        elif callable(mode):
            mode()
        elif mode != "ok":
            raise mode

    def hold(self) -> None:
        """From now on every call waits until `go` is called."""
        self.released.clear()
        self.mode = "hold"

    def held(self, calls: int = 1) -> None:
        """Wait until that many further calls are held here."""
        for _ in range(calls):
            assert self.entered.acquire(timeout=PATIENCE), "nobody came here"

    def go(self) -> None:
        self.mode = "ok"
        self.released.set()


class FakeDriver(fastpool.Driver):
    """A driver of `Connection`s. ``driver.connecting.hold()``, ``driver.checking.mode = Failure()`` …"""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.connecting, self.checking, self.resetting, self.closing = Step(), Step(), Step(), Step()
        self.refusing: set[Any] = set()
        self.timeouts: list[float | None] = []
        # No lock: a signal handler may run in here, and from 3.14 on also between a lock's __enter__ and its block.
        self._numbers = itertools.count(1)
        self._connecting_now: set[object] = set()
        self._counted: list[int] = []

    @property
    def together(self) -> int:
        """The number of connects under way."""
        return len(self._connecting_now)

    @property
    def most_together(self) -> int:
        return max(self._counted, default=0)

    def connect(self, server: Any, timeout: float | None) -> Connection:
        c = Connection(next(self._numbers), server)
        self._connecting_now.add(c)
        try:
            self._counted.append(len(self._connecting_now))
            self.timeouts.append(timeout)
            self.connecting.run()
            if server in self.refusing:
                raise Failure(f"{server} refuses")
        finally:
            self._connecting_now.discard(c)
        self.made.append(c)
        return c

    def check(self, c: Connection, timeout: float | None) -> bool:
        self.timeouts.append(timeout)
        self.checking.run()
        return not c.dead

    def reset(self, c: Connection) -> None:
        self.resetting.run()

    def close(self, c: Connection) -> None:
        c.closes += 1
        self.closing.run()

    def abandon(self, c: Connection) -> None:
        c.abandoned += 1

    def usable(self, c: Connection, exc: BaseException) -> bool:
        return isinstance(exc, LookupError)

    def pool(self, **options: Any) -> fastpool.Pool:
        return fastpool.Pool(driver=self, **options)

    @property
    def open(self) -> list[Connection]:
        return [c for c in self.made if not c.closed]


class Plain(FakeDriver):
    """A driver without check and reset, so that the fast paths in and out are used."""

    check = fastpool.Driver.check  # type: ignore[assignment]
    reset = fastpool.Driver.reset  # type: ignore[assignment]


class Run:
    """A call in a new thread; `result` returns its result, or raises what it raised."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self._outcome: tuple[bool, Any] | None = None
        self.thread = threading.Thread(target=self._run, args=(call, *args), daemon=True)
        self.thread.start()

    def _run(self, call: Callable[..., Any], *args: Any) -> None:
        try:
            self._outcome = True, call(*args)
        except BaseException as error:
            self._outcome = False, error

    @property
    def done(self) -> bool:
        return self._outcome is not None

    def result(self) -> Any:
        self.thread.join(PATIENCE)
        assert self._outcome is not None, "the thread has not ended"
        good, value = self._outcome
        if not good:
            raise value
        return value

    def error(self) -> BaseException:
        self.thread.join(PATIENCE)
        assert self._outcome is not None, "the thread has not ended"
        good, value = self._outcome
        assert not good, f"it returned {value!r}"
        return value


class Holder:
    """A thread inside a ``with pool.connection()`` block until told to leave it."""

    def __init__(self, pool: fastpool.Pool, **lease: Any) -> None:
        self.inside = threading.Event()
        self.leave = threading.Event()
        self.raising: BaseException | None = None
        self.connection: Any = None
        self._pool, self._lease = pool, lease
        self.run = Run(self._hold)

    def _hold(self) -> Any:
        with self._pool.connection(**self._lease) as c:
            self.connection = c
            self.inside.set()
            assert self.leave.wait(PATIENCE)
            if self.raising is not None:
                raise self.raising
        return c

    def got(self) -> Any:
        assert self.inside.wait(PATIENCE), "it got no connection"
        return self.connection

    def end(self) -> Any:
        self.leave.set()
        return self.run.result()


@contextmanager
def holding(pool: fastpool.Pool, count: int = 1) -> Iterator[list[Holder]]:
    """For the length of the block, that many threads hold a connection each."""
    holders = [Holder(pool) for _ in range(count)]
    for holder in holders:
        holder.got()
    try:
        yield holders
    finally:
        for holder in holders:
            holder.leave.set()
        for holder in holders:
            holder.run.thread.join(PATIENCE)


@contextmanager
def resetting(driver: FakeDriver, pool: fastpool.Pool) -> Iterator[Any]:
    """For the length of the block, a thread's lease has ended and its connection, which is yielded, is being reset."""
    driver.resetting.hold()
    holder = Holder(pool)
    c = holder.got()
    holder.leave.set()
    driver.resetting.held()
    yield c
    driver.resetting.go()
    holder.run.result()


class SocketPairs:
    """Opens socket pairs: the near end is a connection, `far` has the other ends."""

    def __init__(self) -> None:
        self.near: list[socket.socket] = []
        self.far: list[socket.socket] = []

    def connect(self) -> socket.socket:
        near, far = socket.socketpair()
        self.near.append(near)
        self.far.append(far)
        return near

    def end(self) -> None:
        for one in self.near + self.far:
            one.close()


def forget_earlier_pools() -> None:
    """Have the keeper forget the pools that earlier tests dropped."""
    gc.collect()
    if FREE_THREADED:
        for pool in _registry.everyone():
            keeper.forget(pool)


def until(condition: Callable[[], Any], what: str = "it") -> Any:
    """Poll until the condition holds; returns its value."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} has not come true"
        time.sleep(0.0005)


def waiting(pool: fastpool.Pool, count: int) -> None:
    """Wait until that many callers stand in line."""
    until(lambda: pool.stats().waiting == count, f"{count} waiting")


def serves(pool: fastpool.Pool, count: int, seconds: float = 5.0) -> list[Any]:
    """Check that the pool gives out `count` different connections at once, and takes them back."""
    out = [pool.checkout(timeout=seconds) for _ in range(count)]
    assert len({id(c) for c in out}) == count
    assert all(not c.closed for c in out)
    for c in out:
        pool.checkin(c)
    return out


def balanced(pool: fastpool.Pool) -> fastpool.Stats:
    """Check that the totals are exact; only for a pool in which nothing is under way."""
    stats = pool.stats()
    assert stats.checkouts == stats.checkins + stats.leased
    assert stats.connects == sum(stats.closed.values()) + stats.size
    assert stats.size == stats.idle + stats.leased
    assert (stats.connecting, stats.waiting) == (0, 0)
    assert in_hand(pool) == 0, "a slot is lost"
    return stats
