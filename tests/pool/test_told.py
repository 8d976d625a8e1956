"""The events that a pool's listeners get: all of them, in order, with their fields."""

import pytest

from fastpool import NoConnectionsAvailable, Pool
from fastpool._telemetry.events import EVENTS
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Failure, FakeDriver, Plain, Run, holding, serves, until, waiting

A, B = ("a", 1), ("b", 2)


class Ear:
    """A listener that records every event."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, name):
        if name in EVENTS:
            return self.heard.append
        raise AttributeError(name)

    def names(self):
        return [event.name for event in self.heard]

    def last(self, name):
        return [event for event in self.heard if event.name == name][-1]

    def forget(self):
        self.heard.clear()


@pytest.fixture
def ear():
    return Ear()


@pytest.mark.parametrize("kind", [Plain, FakeDriver], ids=["fast", "slow"])
def test_a_block(ear, kind):
    driver = kind()
    pool = driver.pool(listeners=[ear])
    with pool.connection():
        pass
    assert ear.names() == [
        "pool_opened",
        "checkout_started",
        "connect_started",
        "connected",
        "checked_out",
        "checked_in",
    ]
    assert {event.pool for event in ear.heard} == {pool}
    c = driver.made[0]
    assert [event.connection for event in ear.heard] == [None, None, None, c, c, c]
    assert ear.last("connected").duration >= 0
    assert ear.last("checked_out").waited >= 0
    assert ear.last("checked_in").duration >= 0
    assert ear.last("checked_in").error is None
    times = [event.time for event in ear.heard]
    assert times == sorted(times)
    ear.forget()
    with pool.connection():
        pass
    assert ear.names() == ["checkout_started", "checked_out", "checked_in"]


def test_by_hand(ear):
    pool = Plain().pool(listeners=[ear])
    pool.checkin(pool.checkout(), discard=True)
    assert ear.names()[-3:] == ["checked_out", "checked_in", "closed_connection"]


def test_durations_are_right(ear):
    with VirtualClock() as clock:
        driver = Plain()
        driver.connecting.mode = lambda: clock.advance(2)
        pool = driver.pool(listeners=[ear], max_size=1)
        with pool.connection():
            late = Run(pool.checkout)
            waiting(pool, 1)
            clock.advance(3)
        late.result()
    assert ear.last("connected").duration == pytest.approx(2)
    assert ear.last("checked_in").duration == pytest.approx(3)
    assert [event.waited for event in ear.heard if event.name == "checked_out"] == [pytest.approx(2), pytest.approx(3)]


def test_a_wait(ear):
    pool = Plain().pool(max_size=1, listeners=[ear])
    with holding(pool):
        ear.forget()
        late = Run(pool.checkout)
        waiting(pool, 1)
        until(lambda: ear.names() == ["checkout_started", "wait_started"])
    late.result()
    assert sorted(ear.names()[2:]) == ["checked_in", "checked_out"]


def test_a_checkout_that_fails(ear):
    driver = Plain()
    pool = driver.pool(max_size=1, listeners=[ear])
    ear.forget()
    driver.connecting.mode = Failure("no")
    with pytest.raises(Failure) as caught:
        pool.checkout()
    assert ear.names() == ["checkout_started", "connect_started", "connect_failed", "checkout_failed"]
    assert ear.last("connect_failed").error is caught.value
    assert ear.last("checkout_failed").error is caught.value
    assert ear.last("checkout_failed").waited >= 0
    driver.connecting.mode = "ok"
    with pool.connection():
        ear.forget()
        with pytest.raises(NoConnectionsAvailable) as caught:
            pool.checkout(timeout=0)
    assert ear.names() == ["checkout_started", "checkout_failed", "checked_in"]
    assert ear.heard[1].error is caught.value


def test_a_block_that_fails(ear):
    pool = Plain().pool(listeners=[ear])
    with pytest.raises(Failure) as caught, pool.connection() as c:
        raise Failure
    assert ear.names()[-2:] == ["checked_in", "closed_connection"]
    assert ear.last("checked_in").error is caught.value
    closed = ear.last("closed_connection")
    assert (closed.connection, closed.reason) == (c, "error")


def closings(driver, clock):
    """Every reason for which a connection is closed, and how to bring it about: (reason, options, deed)."""
    return [
        ("lifetime", {"max_lifetime": 10}, lambda pool: (serves(pool, 1), clock.advance(10))),
        ("idle", {"idle_timeout": 10}, lambda pool: (serves(pool, 1), clock.advance(10))),
        ("max_uses", {"max_uses": 1}, lambda pool: serves(pool, 1)),
        ("max_idle", {"max_idle": 0}, lambda pool: serves(pool, 1)),
        ("overflow", {"max_overflow": 1, "max_size": 1}, lambda pool: serves(pool, 2)),
        ("dead", {"keepalive": 10}, lambda pool: (serves(pool, 1), die(driver), clock.advance(10))),
        ("error", {}, fail),
        ("discarded", {}, lambda pool: pool.checkin(pool.checkout(), discard=True)),
        ("cleared", {}, lambda pool: (serves(pool, 1), pool.clear())),
        ("resized", {"max_size": 2}, lambda pool: (serves(pool, 2), pool.resize(max_size=1))),
        ("closed", {}, lambda pool: (serves(pool, 1), pool.close())),
    ]


def die(driver):
    for c in driver.made:
        c.dead = True


def fail(pool):
    with pytest.raises(ZeroDivisionError), pool.connection():
        raise ZeroDivisionError


@pytest.mark.parametrize("number", range(11), ids=[reason for reason, *_ in closings(None, None)])
def test_every_closed_connection_is_told_with_its_reason_and_server(ear, number):
    with VirtualClock() as clock:
        driver = FakeDriver()
        reason, options, deed = closings(driver, clock)[number]
        pool = driver.pool(listeners=[ear], servers=["a:1"], **options)
        deed(pool)
        [closed] = [event for event in ear.heard if event.name == "closed_connection"]
        assert (closed.reason, closed.server, closed.connection.closes) == (reason, A, 1)
        assert pool.stats().closed[reason] == 1
        pool.close()


def test_servers(ear):
    driver = Plain()
    with VirtualClock() as clock:
        pool = driver.pool(servers=["a:1", "b:2"], listeners=[ear], backoff=(10, 10))
        ear.forget()
        driver.refusing.add(A)
        with pool.connection() as c:
            pass
        assert ear.names() == [
            "checkout_started",
            "connect_started",
            "server_down",
            "connect_failed",
            "connect_started",
            "connected",
            "checked_out",
            "checked_in",
        ]
        assert [event.server for event in ear.heard[1:]] == [A, A, A, B, B, B, B]
        assert isinstance(ear.last("server_down").error, Failure)
        assert isinstance(ear.last("connect_failed").error, Failure)
        driver.refusing.clear()
        clock.advance(10)
        ear.forget()
        pool.warm(3)
        assert c.server == B
        assert ear.names().count("server_up") == 1
        assert (ear.last("server_up").server, ear.last("server_up").duration) == (A, pytest.approx(10))


def test_life(ear):
    pool = Plain().pool(listeners=[ear], open=False)
    assert ear.names() == []
    pool.open()
    pool.open()
    pool.clear(reason="new password")
    pool.close()
    pool.close()
    assert ear.names() == ["pool_opened", "pool_cleared", "pool_closed"]
    assert ear.last("pool_cleared").reason == "new password"


def test_a_leak_is_suspected_once(ear, caplog):
    with VirtualClock() as clock:
        driver = Plain()
        pool = driver.pool(listeners=[ear], leak_after=60, servers=["a:1"], name="p")
        with holding(pool) as [holder]:
            clock.advance(59)
            assert "leak_suspected" not in ear.names()
            clock.advance(1)
            leak = ear.last("leak_suspected")
            assert (leak.server, leak.connection, leak.duration) == (A, holder.connection, pytest.approx(60))
            assert "pool 'p': connection 0 has been out for 60.0 s (leak_after is 60.0 s)" in caplog.text
            assert holder.run.thread.name in caplog.text
            assert "in _hold" in caplog.text
            for _ in range(5):
                clock.advance(60)
            assert (ear.names().count("leak_suspected"), pool.stats().leaks) == (1, 1)
        # the next lease of the same connection is another one
        with holding(pool):
            clock.advance(60)
            assert (ear.names().count("leak_suspected"), pool.stats().leaks) == (2, 2)
        pool.close()


# ---- what listeners may do, and what they cannot do


def test_checked_in_is_told_before_the_connection_can_be_checked_out_again():
    refused = []

    def try_to_get_it(event):
        with pytest.raises(NoConnectionsAvailable):
            pool.checkout(timeout=0)
        refused.append(event.connection)

    pool = Plain().pool(max_size=1, listeners=[{"checked_in": try_to_get_it}])
    with pool.connection() as c:
        pass
    assert refused == [c]
    serves(pool, 1)


@pytest.mark.parametrize("name", EVENTS)
def test_a_listener_that_raises_harms_nobody(name, caplog):
    def raises(event):
        raise Failure("in a listener")

    driver = FakeDriver()
    with VirtualClock() as clock:
        pool = driver.pool(max_size=1, listeners=[{name: raises}], servers=["a:1", "b:2"], leak_after=5, name="p")
        driver.refusing.add(A)
        lease = pool.connection()
        with lease:
            clock.advance(5)
            lease.discard()
            late = Run(pool.checkout)
            waiting(pool, 1)
        got = late.result()  # before its deadline
        driver.refusing.clear()
        clock.advance(100)
        pool.checkin(got)
        pool.clear()
        pool.warm(1)
        driver.refusing |= {A, B}
        pool.clear()
        with pytest.raises(Exception, match="servers"):
            pool.checkout()
        driver.refusing.clear()
        clock.advance(100)
        serves(pool, 1)
        pool.close()
    assert f"of pool 'p' failed on {name}" in caplog.text
    assert driver.open == []


def test_only_a_listener_to_checkouts_makes_them_slower():
    """Flags decide that once: a pool whose listener hears of connects alone takes the fast paths."""
    heard = []
    pool = Pool(object, listeners=[{"connected": heard.append}])
    for _ in range(5):
        with pool.connection():
            pass
    assert len(heard) == 1
    assert pool.stats().checkouts == 5
