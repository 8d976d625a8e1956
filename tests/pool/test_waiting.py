"""Waiting: first come, first served; one deadline; no wait ends early or lasts for ever."""

import threading
import time

import pytest

import fastpool
from fastpool import NoConnectionsAvailable, PoolOverloaded
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Failure, FakeDriver, Holder, Plain, Run, balanced, holding, serves, until, waiting

BOTH_DRIVERS = pytest.mark.parametrize("kind", [Plain, FakeDriver], ids=["fast", "slow"])


@BOTH_DRIVERS
def test_first_come_first_served(kind):
    pool = kind().pool(max_size=1)
    served = []

    def stand(n):
        with pool.connection():
            served.append(n)

    with holding(pool):
        runs = []
        for n in range(20):
            runs.append(Run(stand, n))
            waiting(pool, n + 1)
    for run in runs:
        run.result()
    assert served == list(range(20))
    assert balanced(pool).waits == 20


@BOTH_DRIVERS
def test_a_returned_connection_goes_to_a_waiter_before_its_last_user(kind):
    """happybase's pool lets the same few threads do all the work."""
    pool = kind().pool(max_size=1)
    mine = []

    def greedy():
        for _ in range(3):
            with pool.connection():
                mine.append(pool.stats().checkouts)
                if len(mine) == 1:
                    waiting(pool, 1)

    with holding(pool):
        run = Run(greedy)
        waiting(pool, 1)
    other = Holder(pool)
    other.got()
    assert mine == [2]
    other.end()
    run.result()
    assert mine == [2, 4, 5]


def test_while_anyone_waits_newcomers_queue_behind():
    pool = Plain().pool(max_size=1)
    holder = Holder(pool)
    holder.got()
    first = Run(pool.checkout)
    waiting(pool, 1)
    with pytest.raises(NoConnectionsAvailable):
        pool.checkout(timeout=0)
    second = Run(pool.checkout)
    waiting(pool, 2)
    c = holder.end()
    assert first.result() is c
    assert not second.done
    pool.checkin(c)
    assert second.result() is c


def test_one_deadline_for_waiting_and_connecting():
    """SQLAlchemy's pool starts the whole timeout again after a lost race."""
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(max_size=1, timeout=10)
        with pool.connection():
            late = Run(pool.checkout)
            waiting(pool, 1)
            clock.advance(7)
            driver.connecting.mode = lambda: clock.advance(2)
            pool.clear()
        late.result()
        assert driver.timeouts == [10, pytest.approx(3)]


def test_never_early():
    with VirtualClock() as clock:
        pool = Plain().pool(max_size=1)
        with holding(pool):
            late = Run(pool.checkout, 5)
            waiting(pool, 1)
            for _ in range(50):
                clock.advance(0.0999)
                assert pool.stats().waiting == 1
            clock.advance(0.0051)
            with pytest.raises(NoConnectionsAvailable) as caught:
                late.result()
            assert caught.value.waited >= 5


def test_never_early_in_real_time():
    pool = Plain().pool(max_size=1)
    with holding(pool):
        for seconds in (0.001, 0.01, 0.05):
            began = time.monotonic()
            with pytest.raises(NoConnectionsAvailable):
                pool.checkout(timeout=seconds)
            assert time.monotonic() - began >= seconds


def test_timeout_0_takes_what_is_free_now():
    pool = Plain().pool(max_size=2)
    a = pool.checkout(timeout=0)  # room for a new one is free, too
    b = pool.checkout(timeout=0)
    with pytest.raises(NoConnectionsAvailable):
        pool.checkout(timeout=0)
    pool.checkin(a)
    assert pool.checkout(timeout=0) is a
    stats = pool.stats()
    assert (stats.timeouts, stats.waits) == (1, 0)
    pool.checkin(a)
    pool.checkin(b)


def test_timeout_none_has_no_limit_whatever_the_pools_is():
    with VirtualClock() as clock:
        pool = Plain().pool(max_size=1, timeout=1)
        holder = Holder(pool)
        holder.got()
        late = Run(pool.checkout, None)
        waiting(pool, 1)
        clock.advance(1e6)
        assert pool.stats().waiting == 1
        assert holder.end() is late.result()


def test_a_waiter_that_left_leaves_no_trace_in_the_line():
    pool = Plain().pool(max_size=1)
    holder = Holder(pool)
    holder.got()
    keen = Run(pool.checkout)
    waiting(pool, 1)
    for _ in range(5):
        with pytest.raises(NoConnectionsAvailable):
            pool.checkout(timeout=0.001)
    last = Run(pool.checkout)
    waiting(pool, 2)
    c = holder.end()
    assert keen.result() is c
    pool.checkin(c)
    assert last.result() is c
    stats = pool.stats()
    assert (stats.waits, stats.timeouts) == (7, 5)


def test_max_waiting():
    pool = Plain().pool(max_size=1, max_waiting=2, name="p")
    with holding(pool):
        late = [Run(pool.checkout) for _ in range(2)]
        waiting(pool, 2)
        with pytest.raises(PoolOverloaded, match="pool 'p': 2 callers wait already, and max_waiting is 2"):
            pool.checkout()
        with pytest.raises(NoConnectionsAvailable):
            pool.checkout(timeout=0)  # asks for what is free now, and does not stand in line
        stats = pool.stats()
        assert (stats.rejected, stats.waiting, stats.timeouts) == (1, 2, 1)
    c = late[0].result()
    pool.checkin(c)
    assert late[1].result() is c


def test_max_waiting_0_means_nobody_waits():
    pool = Plain().pool(max_size=1, max_waiting=0)
    with pool.connection():
        with pytest.raises(PoolOverloaded):
            Run(pool.checkout).result()
    serves(pool, 1)


# ---- the error


def test_the_error_explains_itself():
    pool = Plain().pool(max_size=2, timeout=0.01, name="p")
    with holding(pool, 2) as holders:
        with pytest.raises(NoConnectionsAvailable) as caught:
            pool.checkout()
        error = caught.value
        assert isinstance(error, RuntimeError)
        assert error.phase == "wait"
        assert error.waited >= 0.01
        assert (error.stats.leased, error.stats.max_size, error.stats.timeouts) == (2, 2, 1)
        assert {info.thread for info in error.holders} == {holder.run.thread.name for holder in holders}
        text = str(error)
        assert text.startswith("pool 'p' had no connection to give within ")
        assert "2 open of at most 2: 2 leased, 0 idle; 0 connecting; 0 waiting" in text
        for holder in holders:
            assert f"by thread {holder.run.thread.name!r}" in text


def test_the_error_while_connecting():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(timeout=2, name="p")

        def slow():
            clock.advance(3)
            driver.connecting.hold()  # the next one, which is made without the caller
            raise Failure("too slow")

        driver.connecting.mode = slow
        with pytest.raises(NoConnectionsAvailable) as caught:
            pool.checkout()
        driver.connecting.held()
        driver.connecting.go()
        assert (caught.value.phase, caught.value.waited) == ("connect", pytest.approx(3))
        assert isinstance(caught.value.__cause__, Failure)
        assert "within 3 s (connecting)" in str(caught.value)
        assert "last failed connect: Failure: too slow" in str(caught.value)


def test_the_holders_stack_is_to_be_had():
    pool = Plain().pool(max_size=1)
    with holding(pool):
        with pytest.raises(NoConnectionsAvailable) as caught:
            pool.checkout(timeout=0)
        [info] = caught.value.holders
        assert "in _hold" in "".join(info.stack())


# ---- connections that come and go while a caller waits


@BOTH_DRIVERS
def test_a_discard_wakes_a_waiter(kind):
    driver = kind()
    pool = driver.pool(max_size=1)
    c = pool.checkout()
    late = Run(pool.checkout)
    waiting(pool, 1)
    pool.checkin(c, discard=True)
    assert late.result() is driver.made[1]


def test_a_discard_wakes_a_waiter_before_its_close_is_over():
    driver = Plain()
    pool = driver.pool(max_size=1)
    c = pool.checkout()
    late = Run(pool.checkout)
    waiting(pool, 1)
    driver.closing.hold()
    closing = Run(lambda: pool.checkin(c, discard=True))
    driver.closing.held()
    assert late.result() is driver.made[1]
    driver.closing.go()
    closing.result()


def test_waiters_that_timed_out_are_out_of_the_line_before_their_turn():
    """Vitess handed connections to waiters that had expired long ago, one after another."""
    with VirtualClock() as clock:
        pool = Plain().pool(max_size=1)
        holder = Holder(pool)
        holder.got()
        impatient = [Run(pool.checkout, 5) for _ in range(100)]
        waiting(pool, 100)
        late = Run(pool.checkout, 1000)
        waiting(pool, 101)
        clock.advance(6)
        for run in impatient:
            assert isinstance(run.error(), NoConnectionsAvailable)
        assert pool.stats().waiting == 1
        assert holder.end() is late.result()
        stats = pool.stats()
        assert (stats.waits, stats.timeouts, stats.checkouts) == (101, 100, 2)


def test_a_spike_opens_few_connections():
    """HikariCP's spike: 50 callers at once, slow connects, fast use. A waiter for a permit takes what is returned."""
    driver = Plain()
    pool = driver.pool(max_size=50, max_connecting=2)
    connects = threading.Semaphore(0)
    driver.connecting.mode = connects.acquire

    def use():
        with pool.connection():
            pass

    runs = [Run(use) for _ in range(50)]
    until(lambda: pool.stats().connecting == 2)
    waiting(pool, 48)
    connects.release()  # one connection is open; the other connects take their time
    until(lambda: sum(run.done for run in runs) == 48)
    assert len(driver.made) == 1
    connects.release(2)
    for run in runs:
        run.result()
    assert len(driver.made) == 3, "nothing is opened when the burst is over"
    balanced(pool)


def test_the_wait_histogram_has_the_callers_that_stood_in_line():
    with VirtualClock() as clock:
        pool = Plain().pool(max_size=1)
        with pool.connection():
            late = Run(pool.checkout)
            waiting(pool, 1)
            clock.advance(3)
        late.result()
        wait = pool.stats().wait
        assert (wait.count, wait.sum_s, wait.max_s) == (1, pytest.approx(3), pytest.approx(3))


def test_hold_and_all_waits_with_timing():
    with VirtualClock() as clock:
        pool = Plain().pool(max_size=1, timing=True)
        for seconds in (1, 2):
            with pool.connection():
                clock.advance(seconds)
        stats = pool.stats()
        assert (stats.hold.count, stats.hold.sum_s) == (2, pytest.approx(3))
        assert (stats.wait.count, stats.wait.sum_s) == (2, 0)
        assert stats.connect.count == 1


def test_pool_is_not_an_error_for_socket_handlers():
    assert not issubclass(fastpool.PoolError, OSError)
