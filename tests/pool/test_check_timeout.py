"""A check has a time limit, and a silent server costs that limit once, not once per connection to it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from fastpool import AsyncPool, NoConnectionsAvailable, Pool
from fastpool._core import clock
from tests._slots import in_hand
from tests.pool.fake_driver import PATIENCE, Run, balanced, until

MANY = 6
LIMIT = 0.2


class Line:
    """A connection; once the network has dropped it silently, nothing that is sent arrives."""

    def __init__(self, server):
        self.server = server
        self.dropped = False
        self.closes = 0

    def close(self):
        self.closes += 1


class Network:
    """Opens `Line`s. A check of a dropped one calls ``wait(seconds)`` with its whole time limit."""

    def __init__(self, wait):
        self.made, self.asked, self.limits = [], [], []
        self.wait = wait

    def connect(self, server=None):
        self.made.append(Line(server))
        return self.made[-1]

    def check(self, c, timeout):
        self.asked.append(c)
        self.limits.append(timeout)
        if not c.dropped:
            return True
        self.wait(timeout)
        raise TimeoutError("no answer")

    def drop(self, server=None):
        """The open connections become silent; none was checked yet."""
        for one in self.made:
            one.dropped = one.dropped or server is None or one.server == server
        self.asked.clear()
        self.limits.clear()

    def pool(self, **options):
        given = {"max_size": MANY, "max_connecting": MANY, "check_after": 0}
        return Pool(self.connect, check=self.check, **{**given, **options})


@pytest.fixture
def net(clock):
    return Network(clock.advance)


def hold(pool, count):
    """Check out that many, one after the other, and return them."""
    out = [pool.checkout() for _ in range(count)]
    for c in out:
        pool.checkin(c)
    return out


def test_a_check_is_given_check_timeout_and_never_more_than_is_left(net, clock):
    pool = net.pool(check_timeout=3, timeout=30)
    hold(pool, 1)
    for timeout in (30, 2, None, 3.5):
        with pool.connection(timeout=timeout):
            pass
    assert net.limits == [3, 2, 3, 3]


def test_all_silent_ones_together_cost_one_check(net, clock):
    pool = net.pool(timeout=60)
    old = hold(pool, MANY)
    clock.advance(1)
    net.drop()
    began = clock.now
    new = hold(pool, MANY)
    assert clock.now - began == 5, "the default of check_timeout, once"
    assert len([c for c in net.asked if c in old]) == 1
    assert not set(old) & set(new) and [c.closes for c in old] == [1] * MANY
    assert balanced(pool).closed["dead"] == MANY


def test_the_caller_goes_on_to_a_new_connection_within_its_deadline(net, clock):
    pool = net.pool(timeout=8)
    hold(pool, MANY)
    clock.advance(1)
    net.drop()
    with pool.connection() as c:
        assert not c.dropped
    assert net.limits == [5]


def test_other_servers_are_left_alone(net, clock):
    pool = net.pool(servers=["a:1", "b:2"], timeout=60)
    old = hold(pool, MANY)
    clock.advance(1)
    net.drop(("a", 1))
    hold(pool, MANY)
    assert [c.closes for c in old] == [c.server == ("a", 1) for c in old]
    assert sum(c.closes for c in old) == 3 and sum(c.dropped for c in net.asked) == 1


def test_one_that_comes_back_during_the_check_has_been_heard_of(net, clock):
    pool = net.pool(timeout=60, check_after=10)
    one, other, third = (pool.checkout() for _ in range(3))
    pool.checkin(one)
    pool.checkin(third)
    clock.advance(11)
    net.drop()

    def wait(seconds):
        clock.advance(seconds)
        other.dropped = False
        pool.checkin(other)

    net.wait = wait
    with pool.connection() as c:
        assert c not in (one, other, third)
    assert (one.closes, third.closes, other.closes) == (1, 1, 0)
    assert balanced(pool).closed["dead"] == 2


def test_an_impatient_callers_check_says_little_and_a_second_one_in_a_row_is_believed(net, clock):
    pool = net.pool(timeout=60)
    old = hold(pool, MANY)
    clock.advance(1)
    net.drop()
    for believed in (False, True):
        with pytest.raises(NoConnectionsAvailable, match="checking"):
            pool.checkout(timeout=0.3)
        assert pool.stats().closed["dead"] == (MANY if believed else 1)
    assert len(set(net.asked)) == len(net.asked) == 2
    new = hold(pool, MANY)
    assert not set(old) & set(new)


def test_a_check_that_is_content_in_between_begins_anew(net, clock):
    pool = net.pool(timeout=60)
    hold(pool, MANY)
    clock.advance(1)
    for _ in range(3):
        net.drop()
        with pytest.raises(NoConnectionsAvailable):
            pool.checkout(timeout=0.3)
        for one in net.made:
            one.dropped = False
        hold(pool, 1)
    assert balanced(pool).closed["dead"] == 3


def test_a_caller_with_hardly_any_time_marks_no_server_as_down(net, clock):
    pool = net.pool(timeout=60)
    hold(pool, MANY)
    clock.advance(1)
    net.drop()
    for n in (1, 2, 3):
        with pytest.raises(NoConnectionsAvailable):
            pool.checkout(timeout=0.001)
        assert balanced(pool).closed["dead"] == n


def test_nor_does_a_thread_without_a_lease(net, clock):
    pool = net.pool(timeout=60)
    hold(pool, MANY)
    clock.advance(1)
    net.drop()
    for n in (1, 2, 3):
        assert not pool.checkout(timeout=0).dropped
        assert balanced(pool).closed["dead"] == n
    pool.close(timeout=0)


def test_a_check_that_says_no_at_once_condemns_nobody(net, clock):
    pool = net.pool(timeout=60)
    hold(pool, MANY)
    clock.advance(1)
    net.drop()
    net.wait = lambda seconds: None
    with pool.connection():
        pass
    assert balanced(pool).closed["dead"] == 1


def test_a_driver_with_a_shorter_limit_of_its_own(net, clock):
    """The driver gives up before the pool's limit; one second without an answer is enough to call the server silent."""
    pool = net.pool(timeout=60, check_timeout=None)
    hold(pool, MANY)
    clock.advance(1)
    net.drop()
    net.wait = lambda seconds: clock.advance(2)
    began = clock.now
    hold(pool, MANY)
    assert clock.now - began == 2
    assert balanced(pool).closed["dead"] == MANY


# ---- the keeper


def test_the_keeper_asks_with_the_same_limit_and_one_silent_server_costs_it_that_once():
    net = Network(threading.Event().wait)

    def connect():
        c = net.connect()
        c.dropped = True
        return c

    pool = Pool(connect, check=net.check, max_size=MANY, keepalive=0.05, check_timeout=LIMIT, check_after=None)
    hold(pool, MANY)
    until(lambda: pool.stats().closed["dead"] == MANY)
    assert net.limits == [LIMIT]
    pool.close()


@pytest.mark.parametrize("who", ["the keeper", "a caller"])
def test_one_that_is_being_checked_is_in_the_stats(who):
    entered, go = threading.Event(), threading.Event()

    def check(c):
        entered.set()
        assert go.wait(PATIENCE)
        return True

    if who == "the keeper":
        pool = Pool(object, check=check, max_size=2, keepalive=0.02, check_after=None)
    else:
        pool = Pool(object, check=check, max_size=2, check_after=0)
    pool.warm(2)
    run = Run(hold, pool, 1) if who == "a caller" else None
    assert entered.wait(PATIENCE)
    stats = pool.stats()
    assert (stats.size, stats.idle, stats.leased) == (2, 2, 0)
    go.set()
    if run is not None:
        run.result()
    pool.close()


# ---- tasks


def in_the_past(pool):
    """Wait until all that the pool knows about its idle connections is old, by a clock that ticks every few ms."""
    until(lambda: all(max(since, checked) < 1e9 * clock() - 2e7 for since, _, _, checked in pool._idle_rows()))


def test_an_awaited_check_that_never_ends_is_cut_off():
    made, asked = [], []

    class Waits:
        async def connect(self):
            made.append(Line(None))
            return made[-1]

        async def check(self, c):
            asked.append(c)
            if c.dropped:
                await asyncio.Event().wait()
            return True

    async def main():
        waits = Waits()
        options = {"max_size": MANY, "max_connecting": MANY, "check_after": 0, "check_timeout": LIMIT}
        async with AsyncPool(waits.connect, check=waits.check, timeout=30, **options) as pool:
            old = [await pool.checkout() for _ in range(MANY)]
            for c in old:
                pool.checkin(c)
                c.dropped = True
            in_the_past(pool)
            new = []
            began = time.monotonic()
            for _ in range(MANY):
                new.append(await pool.checkout())
            assert time.monotonic() - began < 10 * LIMIT
            assert len([c for c in asked if c in old]) == 1 and not set(old) & set(new)
            assert pool.stats().closed["dead"] == MANY and len(pool) == MANY
            for c in new:
                pool.checkin(c)
        assert all(c.closes == 1 for c in made)

    asyncio.run(main())


def test_a_tasks_check_in_a_thread_is_left_alone_at_the_same_limit():
    go = threading.Event()
    made, asked = [], []

    def connect():
        made.append(Line(None))
        return made[-1]

    def check(c):
        asked.append(c)
        assert not c.dropped or go.wait(PATIENCE)
        return True

    async def main():
        old = [await pool._acheckout(None) for _ in range(MANY)]
        for c in old:
            pool.checkin(c)
            c.dropped = True
        in_the_past(pool)
        try:
            async with pool.aconnection() as c:
                assert c not in old
        finally:
            go.set()
        assert [c for c in asked if c in old] == asked[-1:]

    pool = Pool(connect, check=check, max_size=MANY, max_connecting=MANY, check_after=0, check_timeout=LIMIT)
    asyncio.run(main())
    until(lambda: pool.stats().idle == 2 and not in_hand(pool))
    until(lambda: sum(c.closes for c in made) == MANY - 1)
    assert not asked[-1].closes, "its check said at last that it is well"
    assert balanced(pool).closed["dead"] == MANY - 1
    pool.close()
