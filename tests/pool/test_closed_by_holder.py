"""A connection that its holder closed is not reused: its descriptor is asked for when it is returned."""

from __future__ import annotations

import asyncio
import threading

import pytest

from fastpool import AsyncPool, Driver, LeaseError, Pool
from tests.pool.fake_driver import FREE_THREADED, Abort, Run, balanced, until, waiting


class Described:
    """A connection whose descriptor a test sets; it counts how often `fileno` is called."""

    def __init__(self, fd=7):
        self.fd, self.asked, self.closes = fd, 0, 0

    def fileno(self):
        self.asked += 1
        if isinstance(self.fd, BaseException):
            raise self.fd
        return self.fd

    def close(self):
        self.closes += 1


def described(**options):
    """A pool of `Described` connections, and the list of those opened."""
    made = []
    pool = Pool(lambda: made.append(Described()) or made[-1], max_size=1, **options)
    return pool, made


def use(pool):
    with pool.connection() as c:
        return c


# ---- the ways to return one; `meanwhile` is called while the connection is leased


def by_block(pool, meanwhile):
    with pool.connection() as c:
        c.close()
        meanwhile()


def by_hand(pool, meanwhile):
    c = pool.checkout()
    c.close()
    meanwhile()
    pool.checkin(c)


def from_another_thread(pool, meanwhile):
    c = pool.checkout()
    c.close()
    meanwhile()
    Run(pool.checkin, c).result()


def in_an_inner_block(pool, meanwhile):
    with pool.connection():
        with pool.connection() as c:
            c.close()
        meanwhile()


def after_an_error_that_the_driver_lets_pass(pool, meanwhile):
    with pytest.raises(LookupError):
        with pool.connection() as c:
            c.close()
            meanwhile()
            raise LookupError


def by_a_task(pool, meanwhile):
    async def main():
        async with pool.aconnection() as c:
            c.close()
            meanwhile()

    asyncio.run(main())


def by_a_task_after_an_error(pool, meanwhile):
    async def main():
        with pytest.raises(LookupError):
            async with pool.aconnection() as c:
                c.close()
                meanwhile()
                raise LookupError

    asyncio.run(main())


WAYS = [
    by_block,
    by_hand,
    from_another_thread,
    in_an_inner_block,
    after_an_error_that_the_driver_lets_pass,
    by_a_task,
    by_a_task_after_an_error,
]
OPTIONS = [
    {},
    {"reset": lambda c: c.getsockname()},
    {"timing": True},
    {"check_after": None},
    {"fileno": lambda c: c.fileno()},
]


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "reset", "timing", "never looks", "fileno"])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_replaced(pairs, way, options):
    pool = Pool(pairs.connect, max_size=1, keep_on=LookupError, nested=True, **options)
    way(pool, lambda: None)
    with pool.connection() as c:
        assert c is pairs.near[1] and c.fileno() >= 0
    assert balanced(pool).closed["dead"] == 1
    pool.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_waiter_gets_a_new_one(pairs, way):
    pool = Pool(pairs.connect, max_size=1, keep_on=LookupError, nested=True)
    line = []

    def stand_in_line():
        line.append(Run(use, pool))
        waiting(pool, 1)

    way(pool, stand_in_line)
    assert line[0].result() is pairs.near[1]
    until(lambda: pool.stats().leased == 0)
    assert balanced(pool).closed["dead"] == 1
    pool.close()


@pytest.mark.parametrize("hand", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_an_async_pool(pairs, hand, reset):
    async def connect():
        return pairs.connect()

    async def do_reset(c):
        c.getsockname()

    async def main():
        async with AsyncPool(connect, max_size=1, reset=do_reset if reset else None) as pool:
            if hand:
                c = await pool.checkout()
                c.close()
                pool.checkin(c)
            else:
                async with pool.connection() as c:
                    c.close()
            async with pool.connection() as c:
                assert c is pairs.near[1]
            assert pool.stats().closed["dead"] == 1

    asyncio.run(main())


def test_a_task_does_not_close_what_is_left_of_it_in_its_loops_thread():
    closed_in = []

    def close(c):
        closed_in.append(threading.get_ident())

    pool, made = described(close=close)

    async def main():
        async with pool.aconnection() as c:
            c.fd = -1

    asyncio.run(main())
    assert len(closed_in) == 1 and closed_in[0] != threading.get_ident()
    assert balanced(pool).closed["dead"] == 1 and len(made) == 1


# ---- when `fileno` is called, and how often


@pytest.mark.parametrize("fd", [-1, None, ValueError("closed"), OSError("closed")])
def test_a_descriptor_that_is_gone(fd):
    pool, made = described()
    with pool.connection() as c:
        c.fd = fd
    assert made[0].closes == 1 and balanced(pool).closed["dead"] == 1
    assert use(pool) is made[1]


@pytest.mark.parametrize("fd", [-1, None, "seven", ValueError("not connected yet")])
def test_one_that_has_none_when_it_is_opened_is_never_asked(fd):
    made = []
    pool = Pool(lambda: made.append(Described(fd)) or made[-1], max_size=1, check_after=None)
    for _ in range(3):
        assert use(pool) is made[0]
    assert made[0].asked == 1
    assert balanced(pool).closed["dead"] == 0


def test_it_is_asked_once_for_each_return():
    pool, made = described()
    for _ in range(10):
        use(pool)
    assert made[0].asked == 1 + 10


def test_it_is_looked_up_when_the_connection_is_opened():
    looked = []

    class Proxy:
        def __getattr__(self, name):
            looked.append(name)
            if name == "fileno":
                return lambda: 7
            raise AttributeError(name)

    pool = Pool(Proxy, close=lambda c: None)
    use(pool)
    before = len(looked)
    for _ in range(10):
        use(pool)
    assert len(looked) == before and looked.count("fileno") >= 1


def test_a_fileno_of_the_drivers_own_is_asked():
    class Own(Driver):
        def connect(self, server, timeout):
            return Described(None)

        def fileno(self, c):
            return getattr(c, "number", 5)

    pool = Pool(driver=Own(), max_size=1)
    first = use(pool)
    assert use(pool) is first
    with pool.connection() as c:
        c.number = -1
    assert first.asked == 0 and first.closes == 1
    assert balanced(pool).closed["dead"] == 1


@pytest.mark.parametrize("way", [by_block, by_hand, by_a_task])
def test_what_a_signal_handler_raises_there_passes_through_and_the_lease_is_over(way):
    pool, made = described()

    def strike():
        made[0].fd = Abort()

    with pytest.raises(Abort):
        way(pool, strike)
    assert balanced(pool).closed["error"] == 1 and pool.stats().leased == 0
    assert use(pool) is made[1]


def test_a_pool_that_is_closed_while_it_is_asked():
    class Closes(Described):
        def fileno(self):
            if self.asked:
                pool.close(timeout=0)
            return super().fileno()

    pool = Pool(Closes)
    assert use(pool).closes == 1 and balanced(pool).closed["closed"] == 1


def test_a_waiter_that_comes_during_a_check_is_served():
    line = []

    class Slow(Described):
        def fileno(self):
            if self.asked and not line:
                line.append(Run(use, pool))
                waiting(pool, 1)
            return super().fileno()

    pool = Pool(Slow, max_size=1)
    c = use(pool)
    assert line[0].result() is c


def test_a_clear_while_it_is_asked():
    cleared = []

    class Clears(Described):
        def fileno(self):
            if self.asked and not cleared:
                cleared.append(pool.clear())
            return super().fileno()

    pool = Pool(Clears, max_size=1)
    first = use(pool)
    assert use(pool) is not first and first.closes == 1
    assert balanced(pool).closed["cleared"] == 1


def test_one_by_hand_that_nobody_refers_to_is_taken_back_all_the_same(clock):
    """The references that the pool keeps to call `fileno` do not count as a user's."""
    if FREE_THREADED:
        pytest.skip("reference counts are not known so well without the GIL")
    pool = Pool(Described, max_size=1)
    pool.checkout()
    clock.advance(2)
    use(pool)
    kept = pool.checkout()
    clock.advance(2)
    with pytest.raises(Exception, match="no connection to give"):
        pool.checkout(timeout=0)
    pool.checkin(kept)
    with pytest.raises(LeaseError):
        pool.checkin(kept)
