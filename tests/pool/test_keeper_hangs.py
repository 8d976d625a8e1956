"""A driver call that hangs in the keeper does not delay the upkeep of other pools."""

import asyncio
import ctypes
import logging
import threading
import time

import pytest

import fastpool
from fastpool._core import threads as _threads
from fastpool._keeper import crew as _crew
from fastpool._keeper.keeper import keeper
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import PATIENCE, Failure, FakeDriver, Plain, forget_earlier_pools, serves, until

HANGING = 10
IN_TIME_S = 1.0


def helpers():
    return [thread for thread in threading.enumerate() if thread.name == "fastpool-helper"]


@pytest.fixture(autouse=True)
def nobody_else():
    """Drop the pools that other tests left."""
    forget_earlier_pools()
    until(lambda: not keeper.running and not helpers(), "the keeper of earlier tests' pools being gone")


@pytest.fixture
def pools():
    """Makes pools, and closes them."""
    made = []

    def make(driver, **options):
        made.append((driver, driver.pool(**options)))
        return made[-1][1]

    yield make
    for driver, _ in made:
        for step in (driver.connecting, driver.checking, driver.closing):
            step.go()
    for _, pool in made:
        pool.close()


def lose_one(pool):
    lease = pool.connection()
    with lease:
        lease.discard()


def restored(pool):
    """Discard the one connection of a pool with min_size=1; the seconds until it has one again."""
    began = time.monotonic()
    lose_one(pool)
    until(lambda: len(pool) == 1)
    return time.monotonic() - began


def hang_in_connect(driver, make):
    pool = make(driver, min_size=1)
    driver.connecting.hold()
    pool._make_stale()
    driver.connecting.held()


def hang_in_check(driver, make):
    pool = make(driver, keepalive=0.01, max_size=2)
    serves(pool, 1)
    driver.checking.hold()
    driver.checking.held()


def hang_in_close(driver, make):
    pool = make(driver, idle_timeout=0.01, max_size=2)
    driver.closing.hold()
    serves(pool, 1)
    driver.closing.held()


def hang_in_a_listener(driver, make):
    hanging, go = threading.Event(), driver.closing.released

    def told(event):
        hanging.set()
        assert go.wait(PATIENCE)

    pool = make(driver, leak_after=0.01, listeners=[{"leak_suspected": told}])
    pool.checkout()
    assert hanging.wait(PATIENCE)


class Hanging(logging.Handler):
    """Hangs without holding its lock, so that every record hangs and not only the first."""

    def __init__(self, go):
        super().__init__()
        self.hanging, self.go = threading.Event(), go

    def handle(self, record):
        self.hanging.set()
        assert self.go.wait(PATIENCE)


def hang_in_the_log(driver, make):
    handler = Hanging(driver.closing.released)
    pool = make(driver, min_size=1)
    logging.getLogger("fastpool").addHandler(handler)
    try:
        driver.connecting.mode = Failure("down")
        pool._make_stale()
        assert handler.hanging.wait(PATIENCE)
    finally:
        logging.getLogger("fastpool").removeHandler(handler)


WAYS = [hang_in_connect, hang_in_check, hang_in_close, hang_in_a_listener, hang_in_the_log]


@pytest.mark.parametrize("hang", WAYS, ids=lambda way: way.__name__)
def test_pools_that_hang_do_not_delay_the_upkeep_of_another(hang, pools):
    healthy = pools(Plain(), min_size=1)
    for count in range(1, HANGING + 1):
        hang(FakeDriver(), pools)
        assert restored(healthy) < IN_TIME_S
        assert len(helpers()) <= count + 2
    assert restored(healthy) < IN_TIME_S


def test_when_all_begin_to_hang_at_once_the_others_are_late_by_less_than_a_second(pools):
    """The checks and closes of the hanging pools are all due before the healthy pool's connect."""
    healthy, others = Plain(), [FakeDriver() for _ in range(HANGING)]
    with VirtualClock() as clock:
        good = pools(healthy, min_size=1, idle_timeout=1000)
        made = [pools(w, max_size=3, idle_timeout=1000, keepalive=300, check_after=None) for w in others]
        for pool in made:
            pool.warm(3)
        clock.advance(600)
        clock.advance(100)
        for pool in made:
            serves(pool, 2)  # two will be checked; the third will be closed
        clock.advance(200)  # the third has been checked, so no check holds it when it is to be closed
        for driver in others:
            driver.checking.hold()
            driver.closing.hold()
        with pytest.raises(TimeoutError):
            clock.advance(100, patience=0)
        assert restored(good) < IN_TIME_S
        for driver in others:
            driver.checking.held()
            driver.closing.held()
        assert len(helpers()) <= 2 * HANGING + 2
        for driver in others:
            driver.checking.go()
            driver.closing.go()
        clock.settle()
        assert [len(pool) for pool in made] == [2] * HANGING


def test_a_pool_that_hangs_in_every_way_takes_four_threads(pools):
    def told(event):
        listening.set()
        assert driver.closing.released.wait(PATIENCE)

    listening, driver = threading.Event(), FakeDriver()
    pool = pools(
        driver, min_size=3, max_size=4, idle_timeout=0.3, keepalive=0.01, leak_after=0.01, check_after=None,
        listeners=[{"leak_suspected": told}],
    )  # fmt: skip
    out = [pool.checkout() for _ in range(4)]
    assert listening.wait(PATIENCE)
    driver.checking.hold()
    pool.checkin(out[0])
    driver.checking.held()
    driver.closing.hold()
    pool.checkin(out[1])
    driver.closing.held()  # it was idle for too long
    driver.connecting.hold()
    pool.resize(min_size=4)
    driver.connecting.held()
    healthy = pools(Plain(), min_size=1)
    for _ in range(10):
        pool.keeping.soon()
        assert restored(healthy) < IN_TIME_S
    assert 4 <= len(helpers()) <= 4 + 2


def test_helpers_that_have_nothing_to_do_end(pools, monkeypatch):
    monkeypatch.setattr(_crew, "_REST_S", 0.01)
    driver = FakeDriver()
    pool = pools(driver, idle_timeout=3600, min_size=1)
    until(lambda: keeper.settled)
    until(lambda: not helpers())
    assert keeper.running
    assert restored(pool) < IN_TIME_S


def test_helpers_end_with_the_keeper(pools):
    pool = pools(Plain(), min_size=1)
    until(lambda: keeper.settled and helpers())
    pool.close()
    began = time.monotonic()
    until(lambda: not keeper.running and not helpers())
    assert time.monotonic() - began < _crew._REST_S / 2


# ---- a helper dies, or cannot be started


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_a_helper_had_in_hand_when_it_died_is_done_by_another(pools, monkeypatch):
    def killed_before_its_work(job):
        if job.kind == "connect" and not killed:
            killed.append(threading.get_ident())
            ident = ctypes.c_ulong(killed[0])
            assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit)) == 1
        return do(job)

    killed, do = [], keeper.crew._do
    pool = pools(Plain(), min_size=1)
    until(lambda: keeper.settled)
    monkeypatch.setattr(keeper.crew, "_do", killed_before_its_work)
    assert restored(pool) < IN_TIME_S
    assert len(killed) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_helper_that_dies_when_it_is_woken_is_replaced(pools):
    pool = pools(Plain(), min_size=1)
    for _ in range(3):
        until(lambda: keeper.settled and helpers())
        for helper in helpers():
            ident = ctypes.c_ulong(helper.ident)
            assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit)) == 1
        assert restored(pool) < IN_TIME_S


def test_a_helper_that_cannot_be_started_is_tried_again_and_it_is_said_once(pools, monkeypatch, caplog):
    def refuse(errand, *arguments):
        if len(tried) < 3:
            tried.append(1)
            raise RuntimeError("can't start new thread")
        return start(errand, *arguments)

    way = "start_joinable_thread" if _threads.start_joinable_thread else "start_new_thread"
    tried, start = [], getattr(_threads, way)
    monkeypatch.setattr(_crew, "_AGAIN_S", 0.01)
    pool = pools(Plain(), idle_timeout=60)
    serves(pool, 1)
    until(lambda: keeper.running and keeper.settled)
    monkeypatch.setattr(_crew, "_REST_S", 0.001)
    lose_one(pool)
    until(lambda: not helpers())
    monkeypatch.setattr(_threads, way, refuse)
    pool.resize(min_size=1)
    until(lambda: len(pool) == 1)
    assert len(tried) == 3
    [record] = caplog.records
    assert "no thread could be started" in record.getMessage()


# ---- loops


def test_a_loop_that_is_busy_does_not_hold_up_another_pool(pools):
    go, busy = threading.Event(), threading.Event()

    async def connect():
        return FakeDriver.__new__(FakeDriver)

    async def check(c):
        return True

    async def main():
        pool = fastpool.AsyncPool(connect, check=check, close=lambda c: None, min_size=1, keepalive=0.05)
        await pool.open()
        await asyncio.sleep(0.2)  # checks are made
        pool._make_stale()
        busy.set()
        assert go.wait(PATIENCE)  # the loop is suspended: neither connect nor check is answered
        await asyncio.sleep(0)
        await pool.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    healthy = pools(Plain(), min_size=1)
    assert busy.wait(PATIENCE)
    until(lambda: len(helpers()) >= 1)
    for _ in range(5):
        assert restored(healthy) < IN_TIME_S
    go.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
