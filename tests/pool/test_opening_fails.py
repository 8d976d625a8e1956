"""open() that fails half way, in each way: the connections that it opened are closed, and it can be called again."""

import asyncio

import pytest

import fastpool
from fastpool import NoConnectionsAvailable, PoolClosed
from fastpool.testing import VirtualClock
from tests.pool.fake_driver import Abort, Failure, Plain, balanced
from tests.pool.opening_driver import AsyncPlain, in_loop, soon, unopened

INTERRUPT = pytest.mark.parametrize("error", [Failure, TimeoutError, Abort, KeyboardInterrupt])
WAYS = {"open": lambda pool: pool.open(), "with": lambda pool: pool.__enter__()}


def failing_at(driver, number, error):
    """From now on the connect of this number fails."""

    def connect():
        if driver.connecting.calls == number:
            raise error

    driver.connecting.mode = connect


@INTERRUPT
@pytest.mark.parametrize("way", WAYS)
def test_refused_or_interrupted_at_the_third_it_closes_the_two_and_may_be_repeated(way, error):
    driver = Plain()
    told = []
    pool = unopened(
        driver, min_size=4, listeners=[{"closed_connection": lambda e: told.append((e.connection, e.reason))}]
    )
    for turn in range(1, 3):
        failing_at(driver, driver.connecting.calls + 3, error)
        with pytest.raises(error):
            WAYS[way](pool)
        assert driver.open == [] and len(pool) == 0
        assert [reason for _, reason in told] == ["closed"] * 2 * turn
        assert [c for c, _ in told] == driver.made
        assert balanced(pool).closed["closed"] == 2 * turn
    with pool:
        assert len(pool) == len(driver.open) == 4
    assert driver.open == []


@INTERRUPT
def test_a_constructor_that_fails_leaves_nothing_open(error):
    driver = Plain()
    failing_at(driver, 3, error)
    with pytest.raises(error):
        driver.pool(min_size=4)
    assert len(driver.made) == 2 and driver.open == []


def test_closed_while_it_opens_it_leaves_nothing_open():
    driver = Plain()
    pool = unopened(driver, min_size=3)
    driver.connecting.mode = lambda: pool.close() if driver.connecting.calls == 2 else None
    with pytest.raises(PoolClosed):
        pool.open()
    assert driver.open == []


def test_what_is_leased_by_then_is_left_to_its_holder_and_others_connections_to_the_pool():
    driver = Plain()
    pool = unopened(driver, min_size=5)
    pool.checkin(pool.checkout())
    held = []

    def connect():
        if driver.connecting.calls == 3:
            held.append(pool.checkout(timeout=0))
            held.append(pool.checkout(timeout=0))
            pool.checkin(held[0])
        if driver.connecting.calls == 5:
            raise Failure

    driver.connecting.mode = connect
    with pytest.raises(Failure):
        pool.open()
    before, leased, third, fourth = driver.made
    assert {c.number for c in held} == {1, 2}
    mine = [c for c in (leased, third, fourth) if c not in held[1:]]
    assert all(c.closed for c in mine) and not held[1].closed and not before.closed
    pool.checkin(held[1])
    assert not held[1].closed
    assert balanced(pool).size == len(driver.open)
    pool.close()


def test_a_connection_that_took_the_place_of_one_it_had_opened_is_not_its_own():
    driver = Plain()
    with VirtualClock() as clock:
        pool = unopened(driver, min_size=3)
        successor = []

        def connect():
            if driver.connecting.calls == 2:
                with pool.connection() as c:
                    pool.clear()
                assert c.closed
                clock.advance(1)
                successor.append(pool.checkout())
                pool.checkin(successor[0])
            elif driver.connecting.calls >= 4:  # also the keeper, which the checkouts above have started
                raise Failure

        driver.connecting.mode = connect
        with pytest.raises(Failure):
            pool.open()
        assert driver.open == successor
        assert balanced(pool).size == 1
        pool.close()


def test_warm_that_fails_keeps_what_it_has():
    driver = Plain()
    pool = driver.pool(max_size=4)
    failing_at(driver, 3, Failure)
    with pytest.raises(Failure):
        pool.warm()
    assert len(pool) == len(driver.open) == 2
    pool.close()


async def refused():
    raise Failure


async def hangs():
    await asyncio.Event().wait()


@pytest.mark.parametrize("how", ["open", "async with"])
@pytest.mark.parametrize("why", ["refused", "timed out", "cancelled"])
def test_awaited_and_failing_at_the_third_the_two_are_closed_before_the_error_goes_on(how, why):
    async def main():
        driver = AsyncPlain()
        pool = driver.pool(min_size=4, timeout=0.05 if why == "timed out" else 20)
        expected = {"refused": Failure, "timed out": NoConnectionsAvailable, "cancelled": asyncio.CancelledError}[why]
        for turn in range(2):
            last = len(driver.made) + turn + 3
            driver.failures = {last: refused if why == "refused" else hangs}
            task = asyncio.create_task(pool.open() if how == "open" else pool.__aenter__())
            if why == "cancelled":
                await soon(lambda last=last: driver.began == last)
                task.cancel()
            with pytest.raises(expected):
                await task
            assert len(driver.made) == 2 * turn + 2 and driver.open == [] and len(pool) == 0
        async with pool:
            assert len(pool) == len(driver.open) == 4

    in_loop(main)


def test_a_close_that_hangs_does_not_keep_the_error_for_ever(monkeypatch):
    monkeypatch.setattr("fastpool._async.pool.UNDOES_S", 0.02)

    async def main():
        driver = AsyncPlain()
        pool = fastpool.AsyncPool(driver.connect, close=lambda c: hangs(), min_size=3)
        driver.failures = {3: refused}
        with pytest.raises(Failure):
            await pool.open()
        assert len(pool) == 0
        await pool.close(timeout=0)

    in_loop(main)
