"""The keeper: one thread for all pools of a process, started when a pool needs it, ended when none does."""

import gc
import itertools
import threading
import time

import pytest

import fastpool
from fastpool._keeper import keeper as _keeper
from fastpool._keeper import upkeep as _upkeep
from fastpool._keeper.keeper import keeper
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import (
    Abort,
    Failure,
    FakeDriver,
    Plain,
    forget_earlier_pools,
    frees_what_is_dropped,
    serves,
    until,
)


def keepers():
    return [thread for thread in threading.enumerate() if thread.name == "fastpool-keeper"]


@pytest.fixture(autouse=True)
def nobody_else():
    """Drop the pools that other tests left."""
    forget_earlier_pools()
    until(lambda: not keepers(), "the keeper of earlier tests' pools being gone")


def test_a_pool_that_is_kept_anew_is_looked_after_though_a_job_of_before_is_in_hand():
    """redis-py's pools can be used again after close(), while a connect that the keeper began before is under way."""
    connecting, may_fail = threading.Event(), threading.Event()

    def connect():
        if not may_fail.is_set():
            connecting.set()
            may_fail.wait(20)
            raise OSError("refused")
        return Plain()

    pool = fastpool.Pool(connect, idle_timeout=60, open=True)
    pool.resize(min_size=1)
    assert connecting.wait(20)
    keeper.forget(pool)
    pool.keeping = keeper.look_after(pool)
    until(lambda: pool.keeping.rounds, "a look at it")
    may_fail.set()
    until(lambda: len(pool) == 1)
    pool.close()


def test_a_pool_that_is_forgotten_is_not_filled_any_more():
    connecting, go_on = threading.Event(), threading.Event()

    def connect():
        connecting.set()
        go_on.wait(20)
        return Plain()

    pool = fastpool.Pool(connect, idle_timeout=60, open=True)
    pool.resize(min_size=3)
    assert connecting.wait(20)
    keeper.forget(pool)
    go_on.set()
    until(lambda: not keepers(), "the keeper's end")
    assert len(pool) == 1, "the connect that was under way"
    pool.close()


def test_a_pool_with_default_settings_starts_no_thread():
    before = set(threading.enumerate())
    pool = Plain().pool()
    serves(pool, 3)
    pool.clear()
    pool.warm()
    pool.close()
    assert set(threading.enumerate()) <= before
    assert not keeper.running


@pytest.mark.parametrize(
    "option",
    [{"min_size": 1}, {"idle_timeout": 9}, {"max_lifetime": 9}, {"keepalive": 9}, {"leak_after": 9}],
    ids=lambda option: next(iter(option)),
)
def test_what_needs_the_keeper_starts_it_and_close_ends_it(option):
    pool = Plain().pool(**option)
    until(keepers)
    assert keepers()[0].daemon
    pool.close()
    until(lambda: not keepers())


def test_one_thread_for_all_pools_until_the_last_is_closed():
    pools = [Plain().pool(min_size=1) for _ in range(10)]
    [thread] = keepers()
    for pool in pools[:-1]:
        pool.close()
    assert keepers() == [thread]
    serves(pools[-1], 2)
    pools[-1].close()
    until(lambda: not keepers())
    again = Plain().pool(min_size=1)
    assert len(keepers()) == 1
    again.close()


@frees_what_is_dropped
def test_a_pool_that_is_dropped_is_not_kept_alive():
    pool = Plain().pool(min_size=1)
    until(keepers)
    del pool
    gc.collect()
    until(lambda: not keepers())


def test_a_pool_that_is_resized_to_need_nothing_is_left_alone():
    pool = Plain().pool(max_size=4)
    assert not keepers()
    pool.resize(min_size=2)
    until(keepers)
    until(lambda: len(pool) == 2)
    pool.resize(min_size=0)
    until(lambda: not keepers())
    pool.close()


def test_a_pool_with_open_false_is_looked_after_from_its_first_use_on():
    pool = Plain().pool(min_size=1, open=False)
    assert not keepers()
    serves(pool, 1)
    until(keepers)
    pool.close()


def test_it_sleeps_while_nothing_is_due(monkeypatch):
    tended = []
    tend = _upkeep.tend
    monkeypatch.setattr(_upkeep, "tend", lambda pool, kept: tended.append(pool) or tend(pool, kept))
    with VirtualClock() as clock:
        pool = FakeDriver().pool(
            min_size=2, max_size=4, idle_timeout=60, max_lifetime=600, keepalive=30, leak_after=50, servers=["a:1"]
        )
        clock.settle()
        serves(pool, 4)
        tended.clear()
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:
            clock.settle()
        assert len(tended) <= 1
        clock.advance(10)
        assert len(tended) <= 2
        clock.advance(60)
        assert len(tended) >= 2
        pool.close()


@pytest.mark.parametrize("error", [Failure(), Abort(), SystemExit()], ids=lambda error: type(error).__name__)
def test_what_one_pools_driver_raises_does_not_end_it(error, caplog):
    with VirtualClock() as clock:
        bad, good = FakeDriver(), FakeDriver()
        first = bad.pool(keepalive=10, name="bad")
        second = good.pool(keepalive=10, name="good")
        serves(first, 1)
        serves(second, 1)
        bad.checking.mode = error
        clock.advance(10)
        assert good.checking.calls == 1
        assert bad.made[0].closes == 1
        bad.checking.mode = "ok"
        serves(first, 1)
        clock.advance(10)
        assert bad.checking.calls == 2
        assert len(keepers()) == 1
        first.close()
        second.close()


def test_a_failure_of_its_own_is_logged_and_tried_again(monkeypatch, caplog):
    tend = _upkeep.tend
    broken = [True]

    def breaks_once(pool, kept):
        if broken:
            broken.pop()
            raise Failure("upkeep")
        return tend(pool, kept)

    monkeypatch.setattr(_upkeep, "tend", breaks_once)
    driver = FakeDriver()
    with VirtualClock() as clock:
        pool = driver.pool(keepalive=10, name="p")
        clock.settle()
        assert "keeper: looking after pool 'p' failed" in caplog.text
        serves(pool, 1)
        clock.advance(1)
        clock.advance(10)
        assert driver.checking.calls == 1
        pool.close()


def test_a_thread_that_cannot_be_started_is_started_the_next_time(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(_keeper.Keeper, "_start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            Plain().pool(min_size=1)
    assert not keeper.running
    pool = Plain().pool(min_size=1)
    until(keepers)
    pool.close()


def test_deadlines_that_are_out_of_date_do_not_pile_up():
    with VirtualClock() as clock:
        pool = Plain().pool(idle_timeout=3600, max_lifetime=7200)
        for _ in range(500):
            pool.checkin(pool.checkout(), discard=True)
            clock.settle()
        assert len(keeper._heap) < 100
        pool.close()


@pytest.mark.parametrize("timeout", [12, 300, None])
def test_the_keeper_gives_a_connect_half_a_minute_whatever_callers_have(timeout):
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(min_size=1, timeout=timeout)
        pool.clear()
        clock.settle()
        assert len(pool) == 1
        pool.close()
    assert (len(driver.made), driver.timeouts[-1]) == (2, 30)


@pytest.mark.parametrize("backoff", [(0, 0), (0, 5), (0.001, 0.001)])
def test_whatever_backoff_says_it_tries_ten_times_a_second_at_most(backoff, caplog):
    """All missing connections together, and also when it is called in between."""
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(min_size=3, max_lifetime=1000, backoff=backoff)
        clock.settle()
        driver.connecting.mode = Failure("down")
        pool.clear()
        clock.settle()
        before = driver.connecting.calls
        for _ in range(100):
            clock.advance(0.02)
            keeper.look_after(pool)
            clock.settle()
        assert 5 <= driver.connecting.calls - before <= 20
        driver.connecting.mode = "ok"
        clock.advance(5)
        assert len(pool) == 3
        pool.close()


def lines(caplog):
    return [record.getMessage() for record in caplog.records if "another one failed" in record.getMessage()]


def failing(clock, pool, seconds):
    for _ in range(round(seconds * 10)):
        clock.advance(0.1)


def test_the_same_failure_again_is_logged_with_a_count_at_growing_distances(caplog):
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(min_size=2, backoff=(0, 0))
        driver.connecting.mode = Failure("down")
        pool.clear()
        failing(clock, pool, 30)
        first, tenth, hundredth = lines(caplog)
        assert "(Failure: down); next try in 0.1 s" in first
        assert "(Failure: down), 10 times by now; next try" in tenth
        assert "(Failure: down), 100 times by now; next try" in hundredth
        driver.connecting.mode = OSError("unreachable")
        failing(clock, pool, 1)
        assert "(OSError: unreachable); next try" in lines(caplog)[3]
        driver.connecting.mode = "ok"
        clock.advance(1)
        assert len(pool) == 2
        driver.connecting.mode = Failure("down")
        pool.clear()
        clock.settle()
        assert "(Failure: down); next try" in lines(caplog)[-1]
        pool.close()


def test_the_same_failure_is_logged_each_hour_however_seldom_it_comes(caplog):
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(min_size=1, backoff=(1800, 1800))
        driver.connecting.mode = Failure("down")
        pool.clear()
        clock.settle()
        for _ in range(8):
            clock.advance(1800)
        assert [line.partition(" times")[0][-1] for line in lines(caplog)[1:]] == ["3", "5", "7", "9"]
        pool.close()


def test_texts_that_are_never_the_same_do_not_fill_the_log(caplog):
    """Both a text with a number in it, and the one that says how long each server is left alone."""
    numbers = itertools.count()

    def fails():
        raise Failure(f"attempt {next(numbers)}")

    several, single = Plain(), Plain()
    with VirtualClock() as clock:
        pools = [
            several.pool(min_size=1, backoff=(0, 0.1), servers=["a:1", "b:2"]),
            single.pool(min_size=1, backoff=(0, 0)),
        ]
        several.connecting.mode = Failure("down")
        single.connecting.mode = fails
        for pool in pools:
            pool.clear()
        failing(clock, pools[0], 20)
        assert several.connecting.calls > 100 and next(numbers) > 100
        assert 3 <= len(lines(caplog)) <= 16
        for pool in pools:
            pool.close()


@pytest.mark.parametrize("fails", [False, True], ids=["connects", "fails"])
def test_a_pool_that_is_closed_while_the_keeper_connects_raises_no_alarm(fails, caplog):
    driver, connecting, closed = Plain(), threading.Event(), threading.Event()

    def connect():
        connecting.set()
        assert closed.wait(20)
        if fails:
            raise Failure("its pool is closed")

    pool = driver.pool(min_size=1)
    driver.connecting.mode = connect
    pool.clear()
    assert connecting.wait(20)
    pool.close()
    closed.set()
    until(lambda: not keepers())
    until(lambda: pool.stats().connecting == 0)
    assert caplog.records == []
    assert driver.open == []
