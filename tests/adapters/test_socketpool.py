"""The drop-in for socketpool: arguments, matching, liveness, retries, lifetimes; connectors here have no sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fastpool
from fastpool.adapters import socketpool
from fastpool.adapters.socketpool import ConnectionPool, Connector, MaxConnectionsError, MaxTriesError
from tests.pool.fake_driver import PATIENCE, waiting

from ._connectors import Fake


@pytest.fixture
def fake() -> type[Fake]:
    """A connector class that remembers only what this test makes."""
    return type("OfThisTest", (Fake,), {"made": [], "refusals": []})


@pytest.fixture
def make(fake: type[Fake]) -> Iterator[Callable[..., ConnectionPool]]:
    """Make a pool of `fake` connectors."""
    made: list[ConnectionPool] = []

    def make(**arguments: Any) -> ConnectionPool:
        made.append(ConnectionPool(**{"factory": fake, "retry_delay": 0.001, **arguments}))
        return made[-1]

    yield make
    for pool in made:
        pool.close()


# ---- the interface


def test_the_defaults_are_socketpools() -> None:
    with ConnectionPool(Fake) as pool:
        assert (pool.retry_max, pool.retry_delay, pool.timeout, pool.max_lifetime) == (3, 0.1, -1, 600.0)
        assert (pool.max_size, pool.reap_delay, pool.backend) == (10, 1, "thread")
        assert pool.options == {"backend_mod": socketpool.backend_thread, "pool": pool}
        assert (pool.size, len(pool), pool.factory) == (0, 0, Fake)


def test_arguments_may_be_given_by_position(fake: type[Fake]) -> None:
    with ConnectionPool(fake, 1, 0.2, 5, 60.0, 2, {"host": "a"}, False, 3, "thread") as pool:
        assert (pool.retry_max, pool.retry_delay, pool.timeout, pool.max_lifetime) == (1, 0.2, 5, 60.0)
        assert (pool.max_size, pool.reap_delay) == (2, 3)
        assert pool.get().options == {"host": "a", "backend_mod": socketpool.backend_thread, "pool": pool}


def test_get_and_release(make: Callable[..., ConnectionPool]) -> None:
    pool = make()
    c = pool.get()
    assert (pool.size, len(pool)) == (0, 1)
    pool.release_connection(c)
    assert (pool.size, pool.get()) == (1, c)


def test_the_pools_options_go_before_the_checkouts(make: Callable[..., ConnectionPool]) -> None:
    given = {"host": "of the pool"}
    pool = make(options=given)
    c = pool.get(host="of the checkout", port=1)
    assert (c.options["host"], c.options["port"]) == ("of the pool", 1)
    assert c.options["pool"] is pool and c.options["backend_mod"] is pool.backend_mod
    assert given == {"host": "of the pool"}, "the caller's dict is the caller's"


def test_what_is_set_later_counts(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    pool = make()
    pool.max_size, pool.timeout, pool.max_lifetime, pool.retry_max, pool.retry_delay = 1, 0, 50, 1, 0.5
    assert (pool.max_size, pool.timeout, pool.max_lifetime, pool.retry_max, pool.retry_delay) == (1, 0, 50, 1, 0.5)
    c = pool.get()
    with pytest.raises(MaxConnectionsError):
        pool.get()
    c.life -= 51
    assert pool.too_old(c)
    pool.timeout = -1
    assert pool.timeout == -1
    fake.refusals[:] = [OSError("no")]
    pool.max_size = 2
    with pytest.raises(OSError, match="no"):
        pool.get()
    pool.factory = lambda **options: c
    assert pool.factory is not fake


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"factory": None}, TypeError, "factory must be a callable that makes a connector, not None"),
        ({"retry_max": 0}, ValueError, "retry_max must be at least 1, not 0"),
        ({"retry_max": "3"}, TypeError, "retry_max must be an integer, not '3'"),
        ({"retry_delay": -1}, ValueError, "'retry_delay' must be .* not -1"),
        ({"retry_delay": None}, TypeError, "retry_delay must be a number of seconds, not None"),
        ({"timeout": -2}, ValueError, "timeout must be .* not -2"),
        ({"timeout": "1"}, TypeError, "timeout must be .* not '1'"),
        ({"max_lifetime": 0}, ValueError, "max_lifetime must be .* not 0"),
        ({"max_size": 0}, ValueError, "max_size must be from 1 to 65535, not 0"),
        ({"max_size": "many"}, TypeError, "max_size must be an integer, not 'many'"),
        ({"options": ["host"]}, TypeError, "options must be a dict with names as keys, or None, not"),
        ({"reap_connections": "yes"}, TypeError, "reap_connections must be True or False, not 'yes'"),
        ({"reap_delay": 0}, ValueError, "reap_delay must be a number of seconds above 0, not 0"),
        ({"backend": "none"}, ImportError, "^none isn't a socketpool backend"),
        ({"backend": "no.such_module"}, ImportError, "^no.such_module isn't a socketpool backend"),
        ({"sizes": 3}, TypeError, "unknown option 'sizes'"),
    ],
)
def test_bad_arguments(
    make: Callable[..., ConnectionPool], arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        make(**arguments)


def test_errors_are_socketpools_too_where_it_is_installed() -> None:
    theirs = pytest.importorskip("socketpool.pool")
    for error in (MaxTriesError, MaxConnectionsError):
        assert issubclass(error, getattr(theirs, error.__name__)) and issubclass(error, fastpool.PoolError)


# ---- matching


def test_only_a_connector_that_matches_is_handed_out(make: Callable[..., ConnectionPool]) -> None:
    pool = make()
    a, b = pool.get(host="a"), pool.get(host="b")
    pool.release_connection(a)
    pool.release_connection(b)  # the one that a pool of equals would give next
    assert pool.get(host="a") is a
    assert pool.get(host="b") is b
    assert pool.get(host="c") not in (a, b)


def test_matches_hears_all_options(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    heard: list[dict[str, Any]] = []
    fake.matches = lambda c, **options: not heard.append(options)  # type: ignore[assignment, func-returns-value]
    pool = make(options={"host": "a"})
    with pool.connection(port=1):
        pass
    with pool.connection(port=1):
        pass
    assert heard == [{"host": "a", "port": 1, "backend_mod": pool.backend_mod, "pool": pool}]


def test_what_matches_raises_leaves_the_checkout(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    fake.matches = Connector.matches  # type: ignore[method-assign]
    pool = make(max_size=1)
    pool.release_connection(pool.get())
    with pytest.raises(NotImplementedError):
        pool.get()
    assert len(pool) == 0
    assert pool.get() is fake.made[-1]


def test_a_full_pool_closes_the_one_idle_longest_that_does_not_match(make: Callable[..., ConnectionPool]) -> None:
    pool = make(max_size=3)
    a, b, c = (pool.get(host=host) for host in "abc")
    for one in (b, a, c):
        pool.release_connection(one)
        time.sleep(0.02)  # the pool's coarse clock tells them apart
    d = pool.get(host="d")
    assert (a.invalidated, b.invalidated, c.invalidated, len(pool)) == (0, 1, 0, 3)
    assert pool.stats().closed["discarded"] == 1
    pool.release_connection(d)
    assert {pool.get(host=host) for host in "acd"} == {a, c, d}


def test_a_waiter_gets_its_turn_though_nothing_that_comes_back_matches(make: Callable[..., ConnectionPool]) -> None:
    """With one place and others who come again and again for another host, it would be passed over for ever if it had
    to give up the place in which it cannot use the connection."""
    pool = make(max_size=1)
    first = pool.get(host="busy")
    turns, over = [0], threading.Event()

    def come_again() -> None:
        while not over.is_set():
            with pool.connection(host="busy"):
                turns[0] += 1

    crowd = [threading.Thread(target=come_again) for _ in range(4)]
    for thread in crowd:
        thread.start()
    waiting(pool, 4)
    rare = threading.Thread(target=lambda: pool.release_connection(pool.get(host="rare")))
    rare.start()
    waiting(pool, 5)
    pool.release_connection(first)
    rare.join(PATIENCE)
    came = not rare.is_alive()
    over.set()
    for thread in crowd:
        thread.join(PATIENCE)
    assert came and not any(thread.is_alive() for thread in crowd)
    assert len(pool) == 1


def test_nested_blocks_share_only_what_matches(make: Callable[..., ConnectionPool]) -> None:
    pool = make(nested=True)
    with pool.connection(host="a") as a, pool.connection(host="b") as b, pool.connection(host="a") as again:
        assert again is a and b is not a
    with pool.connection(host="b") as other:
        assert other is b


def test_a_block_as_a_decorator_keeps_its_options(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    pool = make()

    @pool.connection(host="a")
    def inside() -> Any:
        return pool.leases()[0]

    inside()
    inside()
    assert [c.options["host"] for c in fake.made] == ["a"]


# ---- size and time


def test_max_size_bounds_what_is_open(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    """socketpool opens as many as are asked for, and bounds only those that are idle."""
    pool = make(max_size=2, timeout=0.05)
    held = [pool.get(), pool.get()]
    began = time.monotonic()
    with pytest.raises(MaxConnectionsError) as caught:
        pool.get()
    assert 0.05 <= time.monotonic() - began < PATIENCE
    assert isinstance(caught.value, fastpool.NoConnectionsAvailable) and len(fake.made) == 2
    pool.release_connection(held.pop())
    assert pool.get() is fake.made[1]


def test_no_timeout_waits(make: Callable[..., ConnectionPool]) -> None:
    pool = make(max_size=1)
    c, got = pool.get(), []
    thread = threading.Thread(target=lambda: got.append(pool.get()))
    thread.start()
    waiting(pool, 1)
    pool.release_connection(c)
    thread.join(PATIENCE)
    assert got == [c]


def test_a_circle_of_blocks_is_told(make: Callable[..., ConnectionPool]) -> None:
    pool = make(max_size=1)
    with pool.connection(), pytest.raises(MaxConnectionsError) as caught, pool.connection():
        pass
    assert isinstance(caught.value, fastpool.PoolDeadlock)


def test_returned_twice_or_by_a_stranger(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    """socketpool then hands one connection to two callers."""
    pool = make()
    c = pool.get()
    pool.release_connection(c)
    with pytest.raises(fastpool.LeaseError):
        pool.release_connection(c)
    with pytest.raises(fastpool.LeaseError):
        pool.release_connection(fake())


# ---- liveness and exceptions


def test_a_dead_connector_is_not_handed_out(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    pool = make()
    c = pool.get()
    pool.release_connection(c)
    c.alive = False
    assert pool.get() is fake.made[1]


def test_a_dead_connector_does_not_come_back(make: Callable[..., ConnectionPool]) -> None:
    pool = make()
    c = pool.get()
    c.alive = False
    pool.release_connection(c)
    assert (pool.size, len(pool), c.invalidated) == (0, 0, 1)


def test_check_after_spares_questions(make: Callable[..., ConnectionPool]) -> None:
    """Each question may be a call to the server; socketpool asks twice for every block."""
    pool = make(check_after=60)
    for _ in range(5):
        with pool.connection() as c:
            pass
    assert c.asked == 1  # when it was new


def test_one_question_a_block(make: Callable[..., ConnectionPool]) -> None:
    pool = make()
    for _ in range(5):
        with pool.connection() as c:
            pass
    assert c.asked == 5


def test_an_exception_leaves_the_block(make: Callable[..., ConnectionPool]) -> None:
    """socketpool swallows it."""
    pool = make(max_size=1)
    failure = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught, pool.connection() as c:
        raise failure
    assert caught.value is failure and c.told == [failure]
    assert (pool.size, pool.get()) == (1, c), "it is connected, so it stays"


def test_an_exception_that_breaks_the_connector_costs_it(make: Callable[..., ConnectionPool]) -> None:
    pool = make()
    with pytest.raises(ValueError, match="mine"), pool.connection() as c:
        c.alive = False
        raise ValueError("mine")
    assert (pool.size, len(pool), c.told and c.invalidated) == (0, 0, 1)


def test_an_interrupt_is_no_matter_of_the_connectors(make: Callable[..., ConnectionPool]) -> None:
    pool = make()
    with pytest.raises(KeyboardInterrupt), pool.connection() as c:
        raise KeyboardInterrupt
    assert c.told == [] and c.invalidated == 1


def test_a_connector_need_not_hear_of_exceptions(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    fake.handle_exception = Connector.handle_exception  # type: ignore[method-assign]
    pool = make()
    with pytest.raises(ValueError, match="mine"), pool.connection():
        raise ValueError("mine")
    assert pool.size == 1


# ---- retries


def test_the_factory_is_tried_again(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    fake.refusals[:] = [OSError("first"), OSError("second")]
    assert make().get() is fake.made[2]


def test_the_factorys_last_error_is_the_callers(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    fake.refusals[:] = [OSError("first"), OSError("second"), OSError("last")]
    pool = make()
    with pytest.raises(OSError, match="last"):
        pool.get()
    assert len(pool) == 0 and pool.get() is fake.made[3]


def test_connectors_that_are_never_connected(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    fake.is_connected = lambda c: False  # type: ignore[method-assign]
    pool = make(retry_max=4)
    with pytest.raises(MaxTriesError, match="made 4 connections, and none of them was connected") as caught:
        pool.get()
    assert isinstance(caught.value, fastpool.PoolError)
    assert (len(fake.made), [c.invalidated for c in fake.made], pool.size) == (4, [1] * 4, 0)


def test_the_pause_between_tries(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    fake.refusals[:] = [OSError("first"), OSError("second")]
    pool = make(retry_delay=0.05)
    began = time.monotonic()
    pool.get()
    assert 0.1 <= time.monotonic() - began < PATIENCE


def test_tries_end_with_the_checkouts_time(make: Callable[..., ConnectionPool], fake: type[Fake]) -> None:
    fake.refusals[:] = [OSError("first"), OSError("second")]
    with pytest.raises(OSError, match="first"):
        make(retry_delay=60, timeout=5).get()
    assert len(fake.made) == 1
