"""A pool of several servers: which is asked, which is left alone, and what a death means for connections to the
others."""

from collections import Counter

import pytest

import fastpool
from fastpool import AllServersUnavailable
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Failure, FakeDriver, Plain, balanced, holding

A, B, C = ("a", 1), ("b", 2), ("c", 3)
NAMES = ["a:1", "b:2", "c:3"]


def servers_of(connections):
    return Counter(c.server for c in connections)


def test_connections_are_spread():
    driver = Plain()
    pool = driver.pool(servers=NAMES, max_size=9)
    pool.warm()
    assert servers_of(driver.made) == {A: 3, B: 3, C: 3}


def test_connect_is_given_the_server():
    asked = []
    pool = fastpool.Pool(lambda server: asked.append(server) or object(), servers=NAMES, max_size=3)
    pool.warm()
    assert asked == [A, B, C]
    with holding(pool):
        assert pool.leases()[0].server in asked


def test_least_leased_counts_what_is_out_now():
    driver = Plain()
    pool = driver.pool(servers=NAMES, max_size=12, balance="least_leased")
    out = [pool.checkout() for _ in range(6)]
    assert servers_of(out) == {A: 2, B: 2, C: 2}
    for c in out:
        if c.server != B:
            pool.checkin(c, discard=True)
    more = [pool.checkout() for _ in range(4)]
    assert servers_of(more) == {A: 2, C: 2}


def test_a_server_that_refuses_is_left_alone_while_others_serve():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(servers=NAMES, max_size=20, backoff=(10, 10))
        driver.refusing.add(B)
        pool.warm(8)
        assert servers_of(driver.made) == {A: 4, C: 4}
        assert pool.stats().connect_errors == 0  # no checkout saw an error
        driver.refusing.clear()
        clock.advance(10)
        pool.warm(11)
        assert servers_of(driver.made)[B] >= 1


def test_when_all_refuse_callers_fail_at_once_with_the_last_error():
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(servers=NAMES[:2], backoff=(10, 10), timeout=60)
        driver.refusing |= {A, B}
        with pytest.raises(AllServersUnavailable) as caught:
            pool.checkout()
        assert isinstance(caught.value.__cause__, Failure)
        assert "a:1 failed: Failure: ('a', 1) refuses" in str(caught.value)
        asked = driver.connecting.calls
        for _ in range(5):
            with pytest.raises(AllServersUnavailable, match="is left alone for another"):
                pool.checkout()
        assert driver.connecting.calls == asked
        driver.refusing.clear()
        clock.advance(10)
        pool.checkin(pool.checkout())
        assert balanced(pool).connect_errors == 6


def test_a_single_server_raises_its_own_error_also_while_it_is_left_alone():
    driver = Plain()
    with VirtualClock():
        pool = driver.pool(servers=["a:1"], backoff=(10, 10))
        driver.refusing.add(A)
        for _ in range(3):
            with pytest.raises(Failure, match="refuses"):
                pool.checkout()
        assert driver.connecting.calls == 1


def test_servers_that_change():
    driver = Plain()
    now = [["a:1"]]
    pool = driver.pool(servers=lambda: now[0], max_size=4)
    pool.warm(2)
    now[0] = ["b:2"]
    pool.warm(4)
    assert servers_of(driver.made) == {A: 2, B: 2}


def test_a_death_makes_that_servers_older_connections_suspect_and_no_others():
    driver = FakeDriver()
    with VirtualClock() as clock:
        pool = driver.pool(servers=NAMES[:2], max_size=4, check_after=10)
        out = [pool.checkout() for _ in range(4)]
        dead, sibling, *others = sorted(out, key=lambda c: c.server)
        assert dead.server == sibling.server == A
        pool.checkin(dead)
        clock.advance(10)
        for c in (sibling, *others):
            pool.checkin(c)
        dead.dead = True
        for _ in (sibling, *others):
            assert pool.checkout() in (sibling, *others)
        assert driver.checking.calls == 0
        fresh = pool.checkout()
        assert (driver.checking.calls, dead.closes) == (1, 1)
        for c in (sibling, *others, fresh):
            pool.checkin(c)
        for _ in range(4):
            pool.checkout()
        assert driver.checking.calls == 2, "the sibling was looked at, the other server's were not"
        pool.close(timeout=0)


def test_a_pool_whose_server_went_away_moves_to_the_other_with_the_first_callers():
    driver = FakeDriver()
    with VirtualClock() as clock:
        pool = driver.pool(servers=NAMES[:2], max_size=6, check_after=5)
        pool.warm()
        clock.advance(6)
        driver.refusing.add(A)
        for c in driver.made:
            c.dead = c.server == A
        out = [pool.checkout(timeout=0) for _ in range(6)]
        assert servers_of(out) == {B: 6}
        assert pool.stats().closed["dead"] == 3
