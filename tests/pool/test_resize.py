"""resize(): at any time, both ways; and the limits max_overflow and max_idle."""

import pytest

import fastpool
from tests.pool.fake_driver import FakeDriver, Holder, Plain, Run, balanced, holding, serves, until, waiting


def gives_two_and_no_more(pool):
    with pool.connection(), pool.connection(), pytest.raises(fastpool.NoConnectionsAvailable):
        pool.checkout(timeout=0)


def test_growing_serves_the_waiters():
    driver = Plain()
    pool = driver.pool(max_size=1)
    with holding(pool):
        late = [Run(pool.checkout) for _ in range(3)]
        waiting(pool, 3)
        pool.resize(max_size=4)
        got = [run.result() for run in late]
        assert len({id(c) for c in got}) == 3
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.checkout(timeout=0)
        for c in got:
            pool.checkin(c)
    serves(pool, 4)


def test_shrinking_closes_idle_ones_at_once():
    driver = Plain()
    pool = driver.pool(max_size=6)
    pool.warm()
    pool.resize(max_size=2)
    assert (len(pool), len(driver.open)) == (2, 2)
    assert balanced(pool).closed["resized"] == 4
    serves(pool, 2)
    gives_two_and_no_more(pool)


def test_shrinking_while_all_are_leased_closes_them_as_they_come_back():
    driver = Plain()
    pool = driver.pool(max_size=5)
    out = [pool.checkout() for _ in range(5)]
    pool.resize(max_size=2)
    assert driver.open == out
    for left, c in zip((4, 3, 2, 2, 2), out, strict=True):
        pool.checkin(c)
        assert len(pool) == left
    assert balanced(pool).closed["resized"] == 3
    assert set(serves(pool, 2)) == set(out[3:])
    gives_two_and_no_more(pool)


def test_a_waiter_during_a_shrink_gets_one_only_when_there_is_room_below_the_new_size():
    pool = Plain().pool(max_size=3)
    out = [pool.checkout() for _ in range(3)]
    late = Run(pool.checkout)
    waiting(pool, 1)
    pool.resize(max_size=1)
    pool.checkin(out[0])
    pool.checkin(out[1])
    assert (pool.stats().waiting, len(pool)) == (1, 1)
    pool.checkin(out[2])
    assert late.result() is out[2]


def test_shrinking_while_connections_are_being_opened():
    driver = Plain()
    pool = driver.pool(max_size=4, max_connecting=4)
    driver.connecting.hold()
    holders = [Holder(pool) for _ in range(4)]
    driver.connecting.held(4)
    pool.resize(max_size=1)
    driver.connecting.go()
    for holder in holders:
        holder.got()  # their connects had begun before the resize
    for holder in holders:
        holder.end()
    assert len(pool) == 1
    assert balanced(pool).closed["resized"] == 3
    serves(pool, 1)


def test_room_that_became_free_before_the_shrink_is_gone_although_all_permits_are_out():
    """The vacant room above the new size must not be used when the connects are over."""
    driver = Plain()
    pool = driver.pool(max_size=6, max_connecting=2)
    for c in [pool.checkout() for _ in range(6)]:
        pool.checkin(c, discard=True)
    driver.connecting.hold()
    opening = [Run(pool.checkout) for _ in range(2)]
    driver.connecting.held(2)
    pool.resize(max_size=2)
    driver.connecting.go()
    out = [run.result() for run in opening]
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.checkout(timeout=0)
    for c in out:
        pool.checkin(c)
    assert len(pool) == 2


def test_down_and_up_again():
    driver = Plain()
    pool = driver.pool(max_size=8)
    for size in (1, 8, 3, 5, 1, 2, 8):
        pool.resize(max_size=size)
        serves(pool, size)
        with pytest.raises(fastpool.NoConnectionsAvailable):
            with_one_more = [pool.checkout(timeout=0) for _ in range(size + 1)]
            del with_one_more
        pool.clear()
        for c in driver.open:
            pool.checkin(c)
    balanced(pool)


def test_sizes_must_fit_each_other():
    pool = Plain().pool(max_size=4, min_size=2)
    for wrong in ({"max_size": 1}, {"min_size": 5}, {"max_size": 0}, {"max_idle": 1}, {"max_overflow": -2}):
        with pytest.raises(ValueError):
            pool.resize(**wrong)
    for unknown in ({"timeout": 1}, {"size": 4}):
        with pytest.raises(TypeError, match="resize"):
            pool.resize(**unknown)
    assert (pool.config.max_size, pool.config.min_size) == (4, 2)
    pool.close()


def test_what_stats_and_repr_say_of_it():
    pool = Plain().pool(max_size=4, name="p")
    pool.resize(max_size=7)
    assert pool.stats().max_size == 7
    assert repr(pool) == "<fastpool.Pool 'p' 0 leased, 0 idle, 0 waiting, max 7>"


def test_raising_the_minimum_opens_more():
    pool = Plain().pool(max_size=4)
    pool.open()
    pool.resize(min_size=3)
    until(lambda: len(pool) == 3)
    pool.close()


# ---- max_overflow


def test_overflow_is_opened_while_all_are_leased_and_closed_when_it_comes_back():
    driver = Plain()
    pool = driver.pool(max_size=2, max_overflow=2)
    out = [pool.checkout(timeout=0) for _ in range(4)]
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.checkout(timeout=0)
    for left, c in zip((3, 2, 2, 2), out, strict=True):
        pool.checkin(c)
        assert len(pool) == left
    assert balanced(pool).closed["overflow"] == 2


def test_overflow_goes_to_a_waiter_instead_of_being_closed():
    driver = Plain()
    pool = driver.pool(max_size=1, max_overflow=1)
    a, b = pool.checkout(), pool.checkout()
    late = Run(pool.checkout)
    waiting(pool, 1)
    pool.checkin(b)
    assert late.result() is b
    pool.checkin(b)
    pool.checkin(a)
    assert balanced(pool).closed["overflow"] == 1


def test_overflow_without_limit():
    driver = Plain()
    pool = driver.pool(max_size=1, max_overflow=-1)
    out = [pool.checkout(timeout=0) for _ in range(100)]
    assert len(driver.open) == 100
    for c in out:
        pool.checkin(c)
    assert (len(pool), len(driver.open)) == (1, 1)
    assert balanced(pool).closed["overflow"] == 99


def test_overflow_is_not_used_while_one_is_idle():
    driver = Plain()
    pool = driver.pool(max_size=2, max_overflow=5)
    for _ in range(10):
        serves(pool, 2)
    assert len(driver.made) == 2


def test_overflow_can_be_changed():
    pool = Plain().pool(max_size=1)
    with pool.connection():
        pool.resize(max_overflow=1)
        with pool.connection(timeout=0):
            pool.resize(max_overflow=0)
        assert len(pool) == 1
    balanced(pool)


# ---- max_idle


@pytest.mark.parametrize("kind", [Plain, FakeDriver])
def test_one_more_than_max_idle_is_closed_when_it_comes_back(kind):
    driver = kind()
    pool = driver.pool(max_size=4, max_idle=2)
    out = [pool.checkout() for _ in range(4)]
    for c in out:
        pool.checkin(c)
    assert [c.closed for c in out] == [False, False, True, True]
    assert balanced(pool).closed["max_idle"] == 2


def test_max_idle_0_keeps_nothing_that_nobody_waits_for():
    driver = Plain()
    pool = driver.pool(max_size=1, max_idle=0)
    holder = Holder(pool)
    first = holder.got()
    late = Run(pool.checkout)
    waiting(pool, 1)
    holder.end()
    assert late.result() is first
    pool.checkin(first)
    assert first.closed
    assert balanced(pool).closed["max_idle"] == 1


def test_max_idle_lowered_closes_idle_ones_at_once():
    driver = Plain()
    pool = driver.pool(max_size=5)
    pool.warm()
    pool.resize(max_idle=1)
    assert len(pool) == 1
    pool.resize(max_idle=None)
    serves(pool, 5)
    assert balanced(pool).idle == 5


def test_max_idle_holds_although_listeners_take_their_time():
    driver = Plain()
    told = []

    def slow(event):
        told.append(event)
        if len(told) == 1:  # the second one comes back while the first one's return is being told
            pool.checkin(out[1])

    pool = driver.pool(max_size=2, max_idle=1, listeners=[{"checked_in": slow}])
    out = [pool.checkout(), pool.checkout()]
    pool.checkin(out[0])
    assert (len(pool), len(told)) == (1, 2)
    assert balanced(pool).closed["max_idle"] == 1
