"""A lease and its block: the connection that the caller gets, the errors that it sees, and which connection is next."""

import gc

import pytest

from fastpool import LeaseError, Pool, PoolClosed
from tests.pool.fake_driver import Abort, Failure, FakeDriver, Holder, Plain, Run, balanced, serves

BOTH_DRIVERS = pytest.mark.parametrize("kind", [Plain, FakeDriver], ids=["fast", "slow"])


@BOTH_DRIVERS
def test_a_connection_is_opened_when_it_is_needed_and_used_again(kind):
    driver = kind()
    pool = driver.pool()
    assert (len(pool), bool(pool), driver.made) == (0, True, [])
    for _ in range(3):
        with pool.connection() as c:
            assert c is driver.made[0]
            assert (len(pool), pool.stats().leased, pool.stats().idle) == (1, 1, 0)
    assert (len(pool), pool.stats().leased, pool.stats().idle) == (1, 0, 1)
    assert balanced(pool).checkouts == 3


@BOTH_DRIVERS
def test_two_at_once_are_two_connections(kind):
    driver = kind()
    pool = driver.pool()
    with pool.connection() as a, pool.connection() as b:
        assert [a, b] == driver.made
    assert balanced(pool).idle == 2


@BOTH_DRIVERS
def test_ones_own_last_connection_comes_before_the_one_returned_last(kind):
    pool = kind().pool()
    with pool.connection() as mine:
        other = Holder(pool)
        theirs = other.got()
    other.end()  # returned later than mine
    with pool.connection() as c:
        assert c is mine is not theirs


@BOTH_DRIVERS
def test_a_thread_without_a_connection_of_its_own_gets_the_one_returned_last(kind):
    pool = kind().pool()
    a, b, c = (pool.checkout() for _ in range(3))
    for connection in (b, c, a):
        pool.checkin(connection)
    assert Run(pool.checkout).result() is a
    assert Run(pool.checkout).result() is c
    assert Run(pool.checkout).result() is b


@BOTH_DRIVERS
def test_the_blocks_own_exception_is_what_the_caller_sees_and_the_connection_is_closed(kind):
    driver = kind()
    pool = driver.pool()
    for error in (Failure(), Abort(), KeyboardInterrupt(), SystemExit(), GeneratorExit()):
        with pytest.raises(type(error)) as caught, pool.connection() as c:
            raise error
        assert caught.value is error
        assert caught.value.__context__ is None
        assert c.closes == 1
    assert balanced(pool).closed["error"] == 5
    assert len(pool) == 0


@BOTH_DRIVERS
def test_after_an_exception_that_the_driver_calls_usable_the_connection_is_kept(kind):
    pool = kind().pool()
    with pytest.raises(KeyError), pool.connection() as c:
        raise KeyError
    with pool.connection() as again:
        assert again is c


def test_keep_on():
    closed = []
    pool = Pool(object, close=closed.append, keep_on=(LookupError,))
    for error in (KeyError(), ValueError()):
        with pytest.raises(type(error)), pool.connection() as c:
            raise error
    assert closed == [c]


@pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, Abort])
def test_what_is_not_an_exception_closes_the_connection_whatever_the_driver_says(error):
    closed = []
    pool = Pool(object, close=closed.append, keep_on=BaseException)
    with pytest.raises(error), pool.connection() as c:
        raise error
    assert closed == [c]


def test_usable_that_raises_means_no_and_is_logged(caplog):
    driver = Plain()
    driver.usable = lambda c, exc: 1 / 0
    pool = driver.pool(name="p")
    with pytest.raises(Failure), pool.connection() as c:
        raise Failure
    assert c.closed
    assert "pool 'p': usable of a connection failed: ZeroDivisionError" in caplog.text


def test_a_close_that_raises_is_logged_and_no_one_elses_business(caplog):
    driver = Plain()
    driver.closing.mode = Failure("will not close")
    pool = driver.pool(name="p", max_size=1)
    lease = pool.connection()
    with lease as c:
        lease.discard()
    assert c.closes == 1
    assert "pool 'p': close of a connection failed: Failure: will not close" in caplog.text
    assert serves(pool, 1) != [c]
    assert balanced(pool).closed["discarded"] == 1


@BOTH_DRIVERS
def test_discard(kind):
    driver = kind()
    pool = driver.pool()
    lease = pool.connection()
    with lease as c:
        lease.discard()
        assert not c.closed
    assert c.closes == 1
    with pool.connection() as other:
        assert other is not c
    assert balanced(pool).closed["discarded"] == 1


def test_a_lease_is_good_for_one_block():
    pool = Plain().pool()
    lease = pool.connection()
    with lease:
        with pytest.raises(LeaseError, match="good for one block"), lease:
            pass
    with pytest.raises(LeaseError, match="good for one block"), lease:
        pass
    with pytest.raises(LeaseError, match="has ended already"):
        lease.__exit__(None, None, None)
    assert balanced(pool).checkouts == 1


def test_a_block_may_be_left_in_another_thread():
    pool = Plain().pool(max_size=1)
    lease = pool.connection()
    c = Run(lease.__enter__).result()
    lease.__exit__(None, None, None)
    with pool.connection() as again:
        assert again is c
    assert balanced(pool).checkouts == 2


def test_as_a_decorator_every_call_has_a_lease_of_its_own():
    pool = Plain().pool(max_size=1)

    @pool.connection(timeout=0)
    def work(a, *, b):
        """Says what is out."""
        return a, b, pool.stats().leased

    assert work.__name__ == "work"
    assert work.__doc__ == "Says what is out."
    assert [work(1, b=2), work(3, b=4)] == [(1, 2, 1), (3, 4, 1)]
    assert balanced(pool).checkouts == 2


def test_a_coroutine_function_is_not_decorated_by_a_lease_that_ends_before_it_runs():
    pool = Plain().pool()

    async def work():
        """Decorated below; never called."""

    with pytest.raises(TypeError, match=r"coroutine function.*aconnection"):
        pool.connection()(work)


def test_a_lease_says_what_it_is():
    pool = Plain().pool(name="p")
    lease = pool.connection()
    assert repr(lease) == "<fastpool.Lease not entered of 'p'>"
    with lease:
        assert repr(lease) == "<fastpool.Lease held of 'p'>"
    assert repr(lease) == "<fastpool.Lease over>"


@BOTH_DRIVERS
def test_a_lease_nobody_can_end_any_more_is_freed_and_its_connection_not_used_again(kind):
    driver = kind()
    pool = driver.pool(max_size=1)

    def work():
        with pool.connection() as c:
            yield c

    lost = work()
    c = next(lost)
    assert pool.stats().leased == 1
    lost.close()  # GeneratorExit ends the block
    assert c.closed
    lease = pool.connection()
    other = lease.__enter__()
    closes = driver.closing.calls
    del lease
    gc.collect()
    assert driver.closing.calls == closes, "a finalizer does no I/O"
    assert pool.stats().leased == 0
    assert serves(pool, 1) != [other]
    assert other.closed
    assert balanced(pool).closed["error"] == 2


@BOTH_DRIVERS
def test_reset_runs_before_the_next_caller_and_what_it_cannot_reset_is_closed(kind, caplog):
    driver = kind()
    seen = []
    pool = Pool(lambda: driver.connect(None, None), reset=seen.append, close=driver.close)
    with pool.connection() as c:
        assert seen == []
    assert seen == [c]
    pool = Pool(lambda: driver.connect(None, None), reset=lambda c: 1 / 0, close=driver.close, name="p")
    with pool.connection() as c:
        pass
    assert c.closed
    assert "pool 'p': reset of a connection failed: ZeroDivisionError" in caplog.text
    assert balanced(pool).closed["error"] == 1


def test_no_reset_in_the_callers_error_path_that_closes_anyway():
    driver = FakeDriver()
    pool = driver.pool()
    with pytest.raises(Failure), pool.connection():
        raise Failure
    assert driver.resetting.calls == 0


def test_max_uses():
    driver = Plain()
    pool = driver.pool(max_uses=3)
    used = []
    for _ in range(7):
        with pool.connection() as c:
            used.append(c.number)
    assert used == [1, 1, 1, 2, 2, 2, 3]
    assert balanced(pool).closed["max_uses"] == 2


def test_a_connect_that_fails_is_the_callers_error_and_the_room_is_free_again():
    driver = Plain()
    pool = driver.pool(max_size=1)
    driver.connecting.mode = Failure("no")
    for _ in range(3):
        with pytest.raises(Failure, match="no"), pool.connection():
            pass
    driver.connecting.mode = "ok"
    serves(pool, 1)
    stats = balanced(pool)
    assert (stats.connects, stats.connect_errors, stats.checkouts) == (1, 3, 1)


def test_one_object_may_stand_for_several_connections():
    closed = []
    pool = Pool(lambda: "the same", close=closed.append, max_size=3)
    out = [pool.checkout() for _ in range(3)]
    for c in out:
        pool.checkin(c)
    with pytest.raises(LeaseError):
        pool.checkin("the same")
    assert balanced(pool).idle == 3
    pool.close()
    assert closed == ["the same"] * 3


def test_a_closed_pool_gives_nothing():
    pool = Plain().pool(name="p")
    pool.close()
    for take in (pool.checkout, pool.connection().__enter__, lambda: pool.checkout(timeout=0)):
        with pytest.raises(PoolClosed, match="pool 'p' is closed"):
            take()


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
def test_a_timeout_out_of_range(timeout):
    pool = Plain().pool()
    for take in (pool.connection, pool.checkout):
        with pytest.raises(ValueError, match=r"timeout.*non-negative"):
            take(timeout=timeout)
    assert balanced(pool).checkouts == 0


@pytest.mark.parametrize("timeout", ["1", True, [], object()])
def test_a_timeout_that_is_no_number(timeout):
    pool = Plain().pool()
    for take in (pool.connection, pool.checkout):
        with pytest.raises(TypeError, match="'timeout' must be a number of seconds or None"):
            take(timeout=timeout)


@pytest.mark.parametrize("timeout", [None, 0, 0.0, 1, float("inf"), 1e300])
def test_a_timeout_that_will_do(timeout):
    pool = Plain().pool()
    with pool.connection(timeout=timeout), pool.connection(timeout):
        pass
