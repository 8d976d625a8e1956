"""The drop-in for socketpool: lifetimes, the reaper, the end of a pool, fastpool's own options, tasks, pickling."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import fastpool
from fastpool.adapters.socketpool import ConnectionPool, Connector, TcpConnector
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import PATIENCE, frees_what_is_dropped, until

from ._connectors import Fake
from .test_socketpool import fake, make

__all__ = ["fake", "make"]  # fixtures

Make = Callable[..., ConnectionPool]


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with VirtualClock() as clock:
        yield clock


# ---- lifetimes


def test_too_old_connectors_do_not_come_back(make: Make) -> None:
    pool = make(max_lifetime=50)
    c = pool.get()
    c.life -= 51
    pool.release_connection(c)
    assert (pool.size, c.invalidated) == (0, 1)


def test_too_old_connectors_are_not_handed_out(make: Make, clock: VirtualClock) -> None:
    pool = make(max_lifetime=50, reap_connections=False)
    c = pool.get()
    pool.release_connection(c)
    clock.advance(49)
    assert pool.get() is c
    pool.release_connection(c)
    clock.advance(2)
    assert pool.size == 1
    assert pool.get() is not c
    assert (c.invalidated, pool.stats().closed["lifetime"]) == (1, 1)


def test_murder_closes_what_is_too_old(make: Make, clock: VirtualClock) -> None:
    pool = make(max_lifetime=50, reap_connections=False)
    c = pool.get()
    pool.release_connection(c)
    pool.murder_connections()
    assert pool.size == 1
    clock.advance(51)
    pool.murder_connections()
    assert (pool.size, len(pool), c.invalidated) == (0, 0, 1)


def test_murder_asks_the_connectors_themselves(make: Make) -> None:
    pool = make(max_lifetime=50, reap_connections=False)
    old, young = pool.get(), pool.get()
    pool.release_connection(old)
    pool.release_connection(young)
    old.life -= 51
    pool.murder_connections()
    assert (pool.size, old.invalidated, young.invalidated) == (1, 1, 0)


def test_a_connector_that_says_no_lifetime_has_the_pools(make: Make, fake: type[Fake], clock: VirtualClock) -> None:
    fake.get_lifetime = Connector.get_lifetime  # type: ignore[method-assign]
    pool = make(max_lifetime=100, reap_connections=False)
    c = pool.get()
    pool.release_connection(c)
    clock.advance(74)
    pool.murder_connections()
    assert not pool.too_old(c) and pool.size == 1
    clock.advance(27)
    pool.murder_connections()
    assert pool.size == 0


def test_no_lifetime_at_all(make: Make) -> None:
    pool = make(max_lifetime=None)
    c = pool.get()
    c.life = 0.0
    pool.release_connection(c)
    pool.murder_connections()
    assert not pool.too_old(c) and pool.get() is c


@pytest.mark.parametrize(("max_lifetime", "most"), [(600.0, 10.0), (8.0, 2.0), (None, 10.0)])
def test_jiggle(max_lifetime: float | None, most: float) -> None:
    """Connections that were opened together do not end together; never more than a quarter of a lifetime is lost."""
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ConnectionPool(TcpConnector, max_size=40, max_lifetime=max_lifetime) as pool,
    ):
        host, port = listener.getsockname()
        before = time.time()
        lives = [pool.get(host=host, port=port).get_lifetime() for _ in range(40)]
        assert before - most <= min(lives) and max(lives) <= time.time()
        assert len(set(lives)) == 40 and max(lives) - min(lives) > most / 4


# ---- the reaper


def test_the_reaper_closes_what_is_too_old(make: Make) -> None:
    pool = make(max_lifetime=0.05, reap_delay=0.02)
    c = pool.get()
    pool.release_connection(c)
    until(lambda: pool.size == 0 and c.invalidated, "the reaper closes it")


def test_after_stop_reaper_nothing_is_reaped(make: Make, clock: VirtualClock) -> None:
    pool = make(max_lifetime=50, reap_delay=0.02)
    reaper = pool._reaper
    assert reaper.running
    pool.stop_reaper()
    until(lambda: not reaper.running, "the reaper ends")
    c = pool.get()
    pool.release_connection(c)
    clock.advance(51)
    time.sleep(0.2)  # ten rounds
    assert (pool.size, c.invalidated) == (1, 0)
    pool.start_reaper()
    until(lambda: pool.size == 0, "the new one closes it")


def test_no_reaper_where_none_is_wanted(make: Make) -> None:
    pool = make(reap_connections=False)
    pool.stop_reaper()
    assert pool._reaper is None


def test_a_reaper_survives_a_connector_that_raises(make: Make, fake: type[Fake]) -> None:
    pool = make(max_lifetime=50, reap_delay=0.02)
    bad = pool.get()
    pool.release_connection(bad)
    with pytest.MonkeyPatch.context() as patched:
        rounds: list[None] = []
        patched.setattr(fake, "get_lifetime", lambda c: rounds.append(None) or 1 / 0)
        until(lambda: len(rounds) > 2, "it goes on")
    bad.life -= 51
    until(lambda: bad.invalidated, "it closes it later")


@frees_what_is_dropped
def test_a_pool_that_is_dropped_ends_its_reaper() -> None:
    pool = ConnectionPool(Fake, reap_delay=60)
    reaper, dropped = pool._reaper, weakref.ref(pool)
    assert reaper.running
    gc.disable()  # without a collection
    try:
        del pool
        assert dropped() is None
    finally:
        gc.enable()
    until(lambda: not reaper.running, "the reaper ends")


def test_close_ends_the_reaper_and_all_connectors(make: Make) -> None:
    pool = make()
    idle, held = pool.get(), pool.get()
    pool.release_connection(idle)
    reaper = pool._reaper
    pool.close()
    assert idle.invalidated == 1
    until(lambda: not reaper.running, "the reaper ends")
    pool.release_connection(held)
    assert held.invalidated == 1
    with pytest.raises(fastpool.PoolClosed):
        pool.get()


def test_release_all_closes_the_idle_ones_and_the_pool_goes_on(make: Make) -> None:
    pool = make()
    idle, held = pool.get(), pool.get()
    pool.release_connection(idle)
    pool.release_all()
    assert (pool.size, len(pool), idle.invalidated, held.invalidated) == (0, 1, 1, 0)
    pool.release_connection(held)
    assert pool.get() is held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_connects_anew_and_has_a_reaper(make: Make) -> None:
    pool = make(max_lifetime=50, reap_delay=0.02)
    of_parent = pool.get()
    pool.release_connection(of_parent)
    child = os.fork()
    if child == 0:
        well = False
        try:
            c = pool.get()
            pool.release_connection(c)
            c.life -= 51
            until(lambda: c.invalidated)
            well = c is not of_parent and not of_parent.invalidated
        finally:
            os._exit(0 if well else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (pool.get(), of_parent.invalidated) == (of_parent, 0)


# ---- fastpool's own


def test_fastpools_options_are_taken(make: Make, fake: type[Fake]) -> None:
    told: list[str] = []
    pool = make(
        min_size=2,
        max_overflow=1,
        max_idle=2,
        max_uses=2,
        name="sp",
        listeners=[{"connected": lambda e: told.append(e.name)}],
    )
    assert (pool.size, pool.name, len(told)) == (2, "sp", 2)
    first = [pool.get() for _ in range(3)]
    for c in first:
        pool.release_connection(c)
    assert pool.size == 2
    for _ in range(2):
        with pool.connection():
            pass
    assert pool.stats().closed["max_uses"] >= 1
    assert fastpool.PoolOptions.__annotations__.keys() >= {"max_uses", "max_idle"}


def test_servers_take_turns(make: Make) -> None:
    pool = make(servers=["one.example:1", ("two.example", 2)])
    a, b = pool.get(), pool.get()
    assert [(c.options["host"], c.options["port"]) for c in (a, b)] == [("one.example", 1), ("two.example", 2)]
    pool.release_connection(a)
    pool.release_connection(b)
    assert {pool.get(), pool.get()} == {a, b}, "a checkout need not say which server it gets"


def test_min_size_is_kept_with_the_pools_own_options(make: Make, fake: type[Fake]) -> None:
    pool = make(options={"host": "a"}, min_size=1)
    assert [c.options["host"] for c in fake.made] == ["a"]
    assert pool.get() is fake.made[0]


def test_tasks_get_what_matches(make: Make) -> None:
    pool = make(max_size=2)
    a, b = pool.get(host="a"), pool.get(host="b")
    pool.release_connection(a)
    pool.release_connection(b)

    async def main() -> None:
        async with pool.aconnection(host="a") as one, pool.aconnection(host="b") as two:
            assert (one, two) == (a, b)
            with pytest.raises(fastpool.NoConnectionsAvailable):
                async with pool.aconnection(0.01, host="a"):
                    pass
        async with pool.aconnection(host="c") as three, pool.aconnection(host="c") as four:
            assert three.options["host"] == four.options["host"] == "c"
        assert len(pool) == 2

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_checkout_with_a_limit_of_its_own(make: Make) -> None:
    pool = make(max_size=1)
    c = pool.checkout(5, host="a")
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.checkout(0, host="a")
    pool.checkin(c)
    assert pool.checkout(host="a") is c


def test_a_pool_travels_as_its_arguments() -> None:
    with ConnectionPool(Fake, options={"host": "a"}, max_lifetime=50, reap_delay=7, timeout=3) as pool:
        data = pickle.dumps(pool)
        assert pickle.loads(data) is pool
    with pickle.loads(data) as there:
        assert there is not pool and there._reaper.running
        assert (there.factory, there.max_lifetime, there.reap_delay, there.timeout) == (Fake, 50, 7, 3)
        assert there.get().options["host"] == "a"


def test_a_pool_without_connectors_is_still_a_pool(make: Make) -> None:
    pool: Any = make()
    assert pool and isinstance(pool, fastpool.Pool)


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    Fake.made.clear()
