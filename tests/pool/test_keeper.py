"""The keeper: one thread for all pools of a process, started when something needs it, gone when nothing does."""

import gc
import threading
import time

import pytest

from fastpool import _family, _keeper, _upkeep
from fastpool._keeper import keeper
from fastpool.testing import VirtualClock
from tests.pool.world import FREE_THREADED, Abort, Failure, Plain, World, frees_what_is_dropped, serves, until


def keepers():
    return [thread for thread in threading.enumerate() if thread.name == "fastpool-keeper"]


@pytest.fixture(autouse=True)
def nobody_else():
    """Whatever other tests left behind is gone first."""
    gc.collect()
    if FREE_THREADED:
        for pool in list(_family._all):
            keeper.forget(pool)
    until(lambda: not keepers(), "the keeper of earlier tests' pools being gone")


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
    monkeypatch.setattr(_upkeep, "tend", lambda pool, entry: tended.append(pool) or tend(pool, entry))
    with VirtualClock() as clock:
        pool = World().pool(
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
        bad, good = World(), World()
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

    def breaks_once(pool, entry):
        if broken:
            broken.pop()
            raise Failure("upkeep")
        return tend(pool, entry)

    monkeypatch.setattr(_upkeep, "tend", breaks_once)
    world = World()
    with VirtualClock() as clock:
        pool = world.pool(keepalive=10, name="p")
        clock.settle()
        assert "keeper: looking after pool 'p' failed" in caplog.text
        serves(pool, 1)
        clock.advance(1)
        clock.advance(10)
        assert world.checking.calls == 1
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


def test_the_keeper_connects_within_the_pools_own_patience():
    for timeout, patience in ((12, 12), (None, 30)):
        world = Plain()
        with VirtualClock() as clock:
            pool = world.pool(min_size=1, timeout=timeout)
            pool.clear()
            clock.settle()
            assert len(pool) == 1
            pool.close()
        assert (len(world.made), world.timeouts[-1]) == (2, patience)
