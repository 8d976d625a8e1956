"""A driver that has each server asked more than once, says which errors are a server's fault, and how it ends."""

import asyncio

import pytest

import fastpool
from fastpool import AllServersUnavailable
from fastpool._connecting import connector as module
from fastpool.testing import VirtualClock
from tests.pool.connecting_driver import NAMES, A, B, C, Refused, TimedDriver, open_


class WrongPassword(Exception):
    """An error that every server gives alike."""


class Unavailable(AllServersUnavailable):
    """The driver's own error."""


class Patient(TimedDriver):
    """Asks each server twice."""

    rounds = 2

    def blames_server(self, error):
        return not isinstance(error, WrongPassword)

    def none_left(self, error):
        failure = Unavailable("nobody answers")
        failure.__cause__ = error
        return failure


@pytest.fixture(autouse=True)
def rests(monkeypatch):
    """How long callers rested before they asked a server that was left alone."""
    rested = []
    monkeypatch.setattr(module, "pause", rested.append)
    return rested


def test_each_server_is_asked_twice():
    driver = Patient()
    driver.refuse(A, B, C)
    connector = driver.connector(servers=NAMES, backoff=(0, 0))
    with pytest.raises(Unavailable, match="nobody answers") as caught:
        open_(connector, driver)
    assert sorted(driver.servers_asked()) == [A, A, B, B, C, C]
    assert set(driver.servers_asked()[:3]) == {A, B, C}, "all of them once, before any is asked again"
    assert isinstance(caught.value.__cause__, AllServersUnavailable)


def test_the_only_server_is_asked_twice():
    driver = Patient()
    driver.refuse(A)
    with pytest.raises(Unavailable) as caught:
        open_(driver.connector(servers=["a:1"], backoff=(0, 0)), driver)
    assert driver.servers_asked() == [A, A] and isinstance(caught.value.__cause__, Refused)


def test_one_that_is_left_alone_is_asked_when_no_other_accepts(rests):
    driver = Patient()
    driver.refuse(A, B, C)
    connector = driver.connector(servers=NAMES, backoff=(50, 50))
    with pytest.raises(Unavailable):
        open_(connector, driver)
    driver.heal(B)
    driver.asked.clear()
    rests.clear()
    assert open_(connector, driver) == (f"connection to {B}", B), "although each is left alone"
    assert rests and max(rests) <= module.LONGEST_REST
    driver.asked.clear()
    assert open_(connector, driver)[1] == B and driver.servers_asked() == [B], "now it is the one that is not"


def test_a_rest_leaves_the_caller_time_to_connect(rests):
    driver = Patient()
    driver.refuse(A)
    connector = driver.connector(servers=["a:1"], backoff=(50, 50))
    with pytest.raises(Unavailable):
        open_(connector, driver)
    rests.clear()
    with pytest.raises(Unavailable):
        open_(connector, driver, timeout=0.01)
    assert rests and max(rests) < 0.006


def test_the_same_for_code_that_awaits():
    driver = Patient()
    driver.refuse(A)
    connector = driver.connector(servers=["a:1"], backoff=(50, 50))
    for asked in (2, 3):
        with pytest.raises(Unavailable):
            asyncio.run(connector.aopen(None, None, dict))
        assert len(driver.asked) == asked, "twice, and then once: it is left alone in the first round"


def test_an_error_that_is_not_the_servers_fault_is_the_callers_at_once():
    driver = Patient()
    driver.refuse(A, B, C, error=WrongPassword)
    connector = driver.connector(servers=NAMES)
    for _ in range(2):
        with pytest.raises(WrongPassword):
            open_(connector, driver)
    assert len(driver.asked) == 2 and connector.states() == {} and driver.told("server_down") == []
    assert [fields["error"].__class__ for fields in driver.told("connect_failed")] == [WrongPassword] * 2
    assert isinstance(connector.last_error, WrongPassword)


def test_by_default_a_server_is_asked_once_and_left_alone():
    driver = TimedDriver()
    driver.refuse(A, B, C)
    connector = driver.connector(servers=NAMES, backoff=(50, 50))
    with pytest.raises(AllServersUnavailable):
        open_(connector, driver)
    with pytest.raises(AllServersUnavailable):
        open_(connector, driver)
    assert sorted(driver.servers_asked()) == [A, B, C]


def test_a_pool_whose_connect_has_no_servers_is_not_asked_twice():
    class Alone(fastpool.Driver):
        rounds = 2
        asked = 0

        def connect(self, server, timeout):
            self.asked += 1
            raise Refused("no")

    driver = Alone()
    with pytest.raises(Refused):
        fastpool.Pool(driver=driver, min_size=1)
    assert driver.asked == 1


# ---- Core._exchange: the connection of a lease that goes on is replaced


class Connection:
    def __init__(self, server):
        self.server = server


class Keeps(fastpool.Driver):
    """Keeps the entries of the slots, and what was closed."""

    def __init__(self):
        self.entries, self.closed = [], []

    def open_entry(self, entry, server, timeout):
        self.entries.append(entry)
        return Connection(server)

    def close(self, c):
        self.closed.append(c)


def test_a_connection_is_exchanged_under_its_lease():
    told, driver = [], Keeps()
    with VirtualClock() as clock:
        pool = fastpool.Pool(
            driver=driver, servers=["a:1"], max_size=2, max_lifetime=100, listeners=[{"connected": told.append}]
        )
        c = pool.checkout()
        clock.advance(70)
        new = Connection(B)
        (entry,) = driver.entries
        epoch = entry.epoch
        pool._exchange(entry, new, B, "error", 0.5)
        assert entry.epoch == epoch and [lease.server for lease in pool.leases()] == [B]
        assert told[-1].connection is new and told[-1].duration == 0.5
        with pytest.raises(fastpool.LeaseError):
            pool.checkin(c)  # it is not this pool's any more, and closing it is the caller's
        pool.checkin(new)
        clock.advance(70)
        with pool.connection() as again:
            assert again is new, "its lifetime began when it was exchanged"
        stats = pool.stats()
        assert (stats.connects, stats.closed["error"], stats.size, driver.closed) == (2, 1, 1, [])
        with pytest.raises(fastpool.PoolClosed, match="took this connection back"):
            pool._exchange(entry, Connection(A), A, "error", 0.5)  # nobody holds it now
        pool.close()
        assert driver.closed == [new]


def test_a_connection_that_close_took_is_not_exchanged():
    driver = Keeps()
    pool = fastpool.Pool(driver=driver, servers=["a:1"])
    c = pool.checkout()
    pool.close(timeout=0)
    with pytest.raises(fastpool.PoolClosed):
        pool._exchange(driver.entries[0], Connection(B), B, "error", 0.5)
    assert driver.closed == [c] and len(pool) == 0
