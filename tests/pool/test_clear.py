"""clear(): all present connections are replaced, and none opened later."""

from fastpool.testing import VirtualClock
from tests.pool.fake_driver import FakeDriver, Holder, Plain, Run, balanced, resetting, serves, until, waiting


def test_idle_ones_are_closed_at_once():
    driver = Plain()
    pool = driver.pool(max_size=3)
    pool.warm()
    pool.clear()
    assert [c.closes for c in driver.made] == [1, 1, 1]
    assert len(pool) == 0
    assert balanced(pool).closed["cleared"] == 3
    serves(pool, 3)


def test_leased_ones_are_closed_when_they_come_back():
    driver = Plain()
    pool = driver.pool(max_size=2)
    with pool.connection() as a:
        b = pool.checkout()
        pool.clear()
        assert not a.closed
        assert not b.closed
    assert a.closes == 1
    pool.checkin(b)
    assert b.closes == 1
    assert balanced(pool).closed["cleared"] == 2
    assert {c.number for c in serves(pool, 2)} == {3, 4}


def test_one_that_is_being_opened_is_used_once_and_not_kept():
    driver = Plain()
    pool = driver.pool(max_size=1)
    driver.connecting.hold()
    holder = Holder(pool)
    driver.connecting.held()
    pool.clear()
    driver.connecting.go()
    c = holder.got()
    holder.end()
    assert c.closes == 1
    assert balanced(pool).closed["cleared"] == 1


def test_one_that_warm_is_opening_is_not_kept():
    driver = Plain()
    pool = driver.pool(max_size=1)
    driver.connecting.hold()
    warming = Run(pool.warm, 1)
    driver.connecting.held()
    pool.clear()
    driver.connecting.go()
    assert warming.result() == 1
    assert [c.closes for c in driver.made] == [1, 0]
    assert balanced(pool).closed["cleared"] == 1


def test_one_that_is_being_reset_is_not_kept():
    driver = FakeDriver()
    pool = driver.pool(max_size=1)
    with resetting(driver, pool) as c:
        pool.clear()
    assert c.closes == 1
    assert serves(pool, 1) != [c]


def test_one_that_is_being_checked_is_not_handed_out():
    driver = FakeDriver()
    with VirtualClock() as clock:
        pool = driver.pool(max_size=1)
        with pool.connection() as old:
            pass
        clock.advance(1)
        driver.checking.hold()
        asking = Run(pool.checkout)
        driver.checking.held()
        pool.clear()
        driver.checking.go()
        fresh = asking.result()
        assert fresh is not old
        assert old.closes == 1
        pool.checkin(fresh)
        assert balanced(pool).closed["cleared"] == 1


def test_a_waiter_stays_in_line_and_gets_a_new_one():
    driver = Plain()
    pool = driver.pool(max_size=1)
    holder = Holder(pool)
    old = holder.got()
    late = Run(pool.checkout)
    waiting(pool, 1)
    pool.clear()
    assert pool.stats().waiting == 1
    holder.end()
    fresh = late.result()
    assert old.closed
    assert not fresh.closed
    assert fresh is not old


def test_what_was_opened_after_is_kept_by_the_next_clear_only():
    driver = Plain()
    pool = driver.pool()
    with pool.connection() as a:
        pool.clear()
    with pool.connection() as b:
        pass
    with pool.connection() as c:
        assert c is b is not a
    pool.clear()
    assert b.closed


def test_a_close_that_hangs_delays_no_other_caller():
    driver = Plain()
    pool = driver.pool(max_size=2)
    pool.warm()
    driver.closing.hold()
    clearing = Run(pool.clear)
    driver.closing.held()
    serves(pool, 2)
    driver.closing.go()
    clearing.result()
    serves(pool, 2)
    assert balanced(pool).closed["cleared"] == 2


def test_the_minimum_is_opened_again():
    driver = Plain()
    pool = driver.pool(min_size=2)
    old = list(driver.made)
    pool.clear()
    until(lambda: len(pool) == 2)
    assert all(c.closes == 1 for c in old)
    pool.close()


def test_while_the_pool_is_busy_nobody_gets_an_old_one_afterwards():
    driver = Plain()
    pool = driver.pool(max_size=4)
    stop = []
    wrong = []
    begun = ended = 0  # clears
    opened_after = {}  # connection's number -> how many clears had begun when its connect did

    def connect(server, timeout):
        before = begun
        c = Plain.connect(driver, server, timeout)
        opened_after[c.number] = before
        return c

    def work():
        while not stop:
            asked_after = ended
            with pool.connection() as c:
                if opened_after[c.number] < asked_after:
                    wrong.append(c)

    driver.connect = connect
    runs = [Run(work) for _ in range(6)]
    for _ in range(30):
        before = pool.stats().checkouts
        until(lambda before=before: pool.stats().checkouts > before + 20)
        begun += 1
        pool.clear()
        ended += 1
    stop.append(True)
    for run in runs:
        run.result()
    assert wrong == []
    balanced(pool)
