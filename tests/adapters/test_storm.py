"""Exceptions at any point: after each storm every caller gets its own rows, and nothing has leaked."""

from __future__ import annotations

import ctypes
import gc
import itertools
import random
import signal
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Self

import pytest
from thriftpy2.transport import TTransportException

import fastpool
from tests.concurrency._told import eventually
from tests.pool.fake_driver import frees_what_is_dropped

from ._faults import Interruption
from ._scripted import ScriptedServer, row
from ._settle import all_at_once, descriptors

# An exception between the creation of a socket and the first statement that could close it leaves the socket to its
# finalizer; an exception inside a finalizer is printed and ignored.
pytestmark = [
    pytest.mark.usefixtures("no_log"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SIZE = 3


@pytest.fixture(params=[("buffered", "binary"), ("framed", "compact")], ids="-".join)
def storm_server(request: pytest.FixtureRequest) -> Iterator[ScriptedServer]:
    server = ScriptedServer(*request.param)
    yield server
    server.close()


@pytest.fixture
def pool(storm_server: ScriptedServer) -> Iterator[fastpool.ConnectionPool]:
    with fastpool.ConnectionPool(SIZE, timeout=10_000, **storm_server.connect) as pool:
        all_at_once(pool, SIZE)
        yield pool


class Alarm:
    """SIGALRM raises Interruption in the main thread, once, a random time after ``arm()``."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._armed = False
        self.rung = 0

    def _ring(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            self.rung += 1
            raise Interruption

    def arm(self) -> None:
        self._armed = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, self._longest))

    def disarm(self) -> None:
        self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGALRM, self._ring)
        return self

    def __exit__(self, *_: object) -> None:
        self.disarm()
        signal.signal(signal.SIGALRM, self._before)


def raised_through(pool: fastpool.ConnectionPool, alarm: Alarm, key: bytes) -> dict[bytes, bytes] | None:
    """The interruption leaves the block."""
    try:
        alarm.arm()
        with pool.connection() as c:
            got = c.table("t").row(key)
        alarm.disarm()
        return got
    except Interruption:
        return None


def swallowed_inside(pool: fastpool.ConnectionPool, alarm: Alarm, key: bytes) -> dict[bytes, bytes] | None:
    """Swallow the interruption inside the block, and go on with the same connection."""
    got = None
    try:
        with pool.connection() as c:
            try:
                alarm.arm()
                c.table("t").row(key + b" lost")
                alarm.disarm()
            except Interruption:
                pass
            alarm.disarm()
            try:
                got = c.table("t").row(key)
            except (TTransportException, fastpool.LeaseError):
                pass
    except Interruption:
        pass
    return got


def nested(pool: fastpool.ConnectionPool, alarm: Alarm, key: bytes) -> dict[bytes, bytes] | None:
    """Interrupt an inner block; the outer one goes on."""
    with pool.connection() as c:
        try:
            alarm.arm()
            with pool.connection() as inner:
                inner.table("t").row(key + b" lost")
            alarm.disarm()
        except Interruption:
            pass
        alarm.disarm()
        return c.table("t").row(key)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers here")
@pytest.mark.parametrize("turn", [raised_through, swallowed_inside, nested])
def test_signals_that_raise(pool: fastpool.ConnectionPool, storm_server: ScriptedServer, turn: object) -> None:
    before = descriptors()
    good = 0
    began = time.monotonic()
    for _ in range(50):
        with pool.connection() as c:
            c.table("t").row(b"undisturbed")
    deadline = time.monotonic() + 1.0
    with Alarm(longest=6 * (time.monotonic() - began) / 50) as alarm:
        for number in itertools.count():
            if time.monotonic() > deadline and alarm.rung > 50 and good > 20:
                break
            key = b"%d" % number
            got = turn(pool, alarm, key)  # type: ignore[operator]
            assert got is None or got == row(key)
            good += got is not None
    all_at_once(pool, SIZE)
    assert eventually(lambda: descriptors() <= before)


class Worker(threading.Thread):
    """Reads its own rows until told to stop; other threads set exceptions in it."""

    def __init__(self, pool: fastpool.ConnectionPool, number: int) -> None:
        super().__init__(daemon=True)
        self.pool = pool
        self.number = number
        self.over = threading.Event()
        self.ready = threading.Event()  # set when the thread is ready for one exception
        self.good = self.hit = 0
        self.wrong: list[object] = []

    def run(self) -> None:
        while True:
            try:
                # Inside the try, because the next exception may come as soon as this is set.
                self.ready.set()
                while not self.over.is_set():
                    self.turn()
                return
            except Interruption:
                self.hit += 1

    def turn(self) -> None:
        key = b"%d:%d" % (self.number, self.good)
        with self.pool.connection(timeout=10) as c:
            got = c.table("t").row(key)
        if got != row(key):
            self.wrong.append((key, got))
        self.good += 1


def test_exceptions_set_by_another_thread(pool: fastpool.ConnectionPool, storm_server: ScriptedServer) -> None:
    before = descriptors()
    workers = [Worker(pool, n) for n in range(SIZE + 1)]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 1.5
    while time.monotonic() < deadline or sum(worker.hit for worker in workers) < 50:
        worker = random.choice(workers)
        if worker.ready.wait(0.001):
            worker.ready.clear()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(worker.ident or 0), ctypes.py_object(Interruption)
            )
        assert worker.is_alive()
        assert time.monotonic() < deadline + 20
    good = [worker.good for worker in workers]
    left_alone = lambda: all(worker.good > before for worker, before in zip(workers, good, strict=True))  # noqa: E731
    assert eventually(left_alone), "each of them goes on"
    for worker in workers:
        worker.over.set()
    for worker in workers:
        worker.join(10)
        assert not worker.is_alive()
    assert [worker.wrong for worker in workers] == [[]] * len(workers)
    all_at_once(pool, SIZE)
    assert eventually(lambda: descriptors() <= before)


@pytest.mark.skipif(not frees_what_is_dropped(), reason="pools are immortal where threads run without the GIL")
def test_a_close_that_is_struck_leaves_no_socket_to_the_collector(
    pool: fastpool.ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def struck(c: object) -> None:
        raise Interruption

    gc.disable()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(pool.driver, "close", struck)
            lease = pool.connection()
            with pytest.raises(Interruption), lease as c:
                sock = weakref.ref(c.client._socket.sock)
                lease.discard()
        assert pool.stats().closed["discarded"] == 1
        all_at_once(pool, SIZE)  # one of them is the successor
        assert sock() is None
    finally:
        gc.enable()
