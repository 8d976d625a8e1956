"""How long a connection lives: lifetime, idle time, keep-alive; on a virtual clock."""

import asyncio

import pytest

import fastpool
from tests.pool.fake_driver import Failure, FakeDriver, Plain, balanced

BOTH_DRIVERS = pytest.mark.parametrize("kind", [Plain, FakeDriver], ids=["fast", "slow"])


def use(pool):
    with pool.connection() as c:
        return c


@pytest.fixture
def unkept(monkeypatch):
    """Pools without a keeper."""
    monkeypatch.setattr(fastpool.Pool, "_keep", lambda self: None)


# ---- lifetime


@BOTH_DRIVERS
def test_a_connection_past_its_lifetime_is_replaced_at_checkout(clock, unkept, kind):
    pool = kind().pool(max_lifetime=100)
    first = use(pool)
    clock.advance(74.9)
    assert use(pool) is first
    clock.advance(25.2)
    second = use(pool)
    assert second is not first
    assert first.closes == 1
    assert balanced(pool).closed["lifetime"] == 1


@BOTH_DRIVERS
def test_a_connection_past_its_lifetime_at_its_return_is_not_handed_out_again(clock, unkept, kind):
    pool = kind().pool(max_lifetime=100)
    with pool.connection() as first:
        clock.advance(101)
        assert not first.closed
    assert use(pool) is not first
    assert first.closes == 1


def test_lifetimes_differ_by_up_to_a_quarter_and_are_drawn_once(clock, unkept):
    pool = Plain().pool(max_size=200, max_lifetime=1000, max_connecting=200)
    pool.warm()
    _, opened, ends, _ = zip(*pool._idle_rows(), strict=True)
    lives = [(end - begin) / 1e9 for begin, end in zip(opened, ends, strict=True)]
    assert 750 <= min(lives) < 800
    assert 950 < max(lives) <= 1000
    assert len(set(lives)) > 190
    for _ in range(3):  # using them does not draw again
        out = [pool.checkout() for _ in range(200)]
        for c in out:
            pool.checkin(c)
    assert sorted(end for _, _, end, _ in pool._idle_rows()) == sorted(ends)


def test_the_keeper_retires_them_without_a_checkout(clock):
    driver = Plain()
    pool = driver.pool(max_size=4, max_lifetime=100)
    pool.warm()
    clock.advance(100)
    assert (len(pool), len(driver.open), len(driver.made)) == (0, 0, 4)
    assert balanced(pool).closed["lifetime"] == 4
    pool.close()


def test_the_minimum_is_replaced_before_it_is_retired(clock):
    """While there is room, the pool never has fewer than min_size connections."""
    lengths = []
    driver = Plain()
    driver.close = lambda c: (lengths.append(len(pool)), Plain.close(driver, c))
    pool = driver.pool(max_size=6, min_size=3, max_lifetime=100)
    clock.settle()
    assert len(pool) == 3
    for _ in range(3):
        clock.advance(100)
        assert len(pool) == 3
    assert min(lengths) >= 3
    assert balanced(pool).closed["lifetime"] == len(lengths) >= 9
    pool.close()


def test_with_no_room_for_a_successor_it_comes_right_after(clock):
    driver = Plain()
    pool = driver.pool(max_size=2, min_size=2, max_lifetime=100)
    clock.settle()
    clock.advance(100)
    assert len(pool) == 2
    assert balanced(pool).closed["lifetime"] == 2
    pool.close()


def test_when_no_successor_can_be_had_the_old_one_goes_all_the_same(clock, caplog):
    driver = Plain()
    pool = driver.pool(max_size=4, min_size=2, max_lifetime=100, name="p")
    clock.settle()
    driver.connecting.mode = Failure("down")
    clock.advance(100)
    assert len(pool) == 0
    assert "pool 'p': no successor for an old connection: down" in caplog.text
    assert "0 of at least 2 connections are open, and another one failed (Failure: down)" in caplog.text
    driver.connecting.mode = "ok"
    clock.advance(5)
    assert len(pool) == 2
    pool.close()


def test_a_leased_connection_is_left_alone(clock):
    pool = Plain().pool(max_lifetime=100, min_size=1)
    with pool.connection() as c:
        clock.advance(1000)
        assert not c.closed
    assert use(pool) is not c
    pool.close()


# ---- idle


@BOTH_DRIVERS
@pytest.mark.parametrize("kept", [True, False], ids=["keeper", "no-keeper"])
def test_one_that_was_idle_too_long_is_never_handed_out(clock, monkeypatch, kind, kept):
    if not kept:
        monkeypatch.setattr(fastpool.Pool, "_keep", lambda self: None)
    pool = kind().pool(idle_timeout=60)
    first = use(pool)
    clock.advance(59)
    assert use(pool) is first
    clock.advance(59.9)
    assert use(pool) is first
    clock.advance(60)
    assert first.closed == kept
    second = use(pool)
    assert second is not first
    assert first.closes == 1
    assert balanced(pool).closed["idle"] == 1
    pool.close()


def test_idle_ones_are_closed_down_to_the_minimum(clock):
    driver = Plain()
    pool = driver.pool(max_size=5, min_size=2, idle_timeout=60)
    pool.warm()
    clock.advance(60)
    assert len(pool) == 2
    clock.advance(3600)
    assert len(pool) == 2
    assert balanced(pool).closed["idle"] == 3
    # even those of the minimum are not handed out after that time
    c = use(pool)
    assert c.number > 5
    pool.close()


def test_the_least_used_go_first(clock):
    """A checkout gets the one returned last, so that the others reach idle_timeout."""
    driver = Plain()
    pool = driver.pool(max_size=5, idle_timeout=60)
    pool.warm()
    busy = use(pool)
    for _ in range(10):
        clock.advance(10)
        assert use(pool) is busy
    assert driver.open == [busy]
    pool.close()


def test_idle_time_begins_with_the_return(clock):
    pool = Plain().pool(idle_timeout=60)
    with pool.connection() as c:
        clock.advance(59)
    clock.advance(59)
    assert not c.closed
    clock.advance(1)
    assert c.closed
    pool.close()


# ---- keepalive


def test_an_idle_connection_is_checked_so_often(clock):
    driver = FakeDriver()
    pool = driver.pool(max_size=2, keepalive=30, check_after=None)
    pool.warm()
    for rounds in range(1, 4):
        clock.advance(29)
        assert driver.checking.calls == 2 * (rounds - 1)
        clock.advance(1)
        assert driver.checking.calls == 2 * rounds
    pool.close()


class Pinging(FakeDriver):
    """A driver whose check and ping record their calls."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = []

    def check(self, c, timeout):
        self.asked.append("check")
        return not c.dead

    def ping(self, c, timeout):
        self.asked.append("ping")
        return not c.dead


class OnlyPinging(FakeDriver):
    check = fastpool.Driver.check

    def ping(self, c, timeout):
        return not c.dead


def test_keepalive_pings_and_a_checkout_checks(clock):
    driver = Pinging()
    pool = driver.pool(keepalive=30, check_after=1)
    use(pool)
    clock.advance(30)
    assert driver.asked == ["ping"]
    clock.advance(2)
    use(pool)
    assert driver.asked == ["ping", "check"]
    pool.close()


def test_a_driver_with_a_ping_and_no_check_is_kept_alive(clock):
    driver = OnlyPinging()
    pool = driver.pool(keepalive=30)
    use(pool).dead = True
    clock.advance(30)
    assert balanced(pool).closed["dead"] == 1
    pool.close()


def test_keepalive_of_tasks_awaits_the_ping_in_their_loop():
    pinged = []

    class Driver(fastpool.Driver):
        async def connect(self, server, timeout):
            return object()

        def close(self, c):
            pass

        async def check(self, c, timeout):
            raise AssertionError("nobody checks out")

        async def ping(self, c, timeout):
            pinged.append(asyncio.get_running_loop())
            heard.set()
            return True

    async def main():
        async with fastpool.AsyncPool(driver=Driver(), min_size=1, keepalive=0.01) as pool:
            await asyncio.wait_for(heard.wait(), 10)
            assert pinged[0] is asyncio.get_running_loop()
            assert pool.stats().closed["dead"] == 0

    heard = asyncio.Event()
    asyncio.run(main())


def test_use_counts_as_a_check(clock):
    driver = FakeDriver()
    pool = driver.pool(keepalive=30)
    for _ in range(5):
        use(pool)
        clock.advance(29)
    assert driver.checking.calls == 4  # the checks of checkouts: the connection was unused for longer than check_after
    pool.close()


def test_what_keepalive_finds_dead_is_closed_and_its_siblings_are_doubted(clock):
    driver = FakeDriver()
    pool = driver.pool(max_size=3, keepalive=30, check_after=1000)
    pool.warm()
    clock.advance(20)
    fresh = use(pool)
    for c in driver.made:
        c.dead = c is not fresh
    clock.advance(10)
    assert [c.closes for c in driver.made if c is not fresh] == [1, 1]
    assert balanced(pool).closed["dead"] == 2
    checks = driver.checking.calls
    assert use(pool) is fresh
    assert driver.checking.calls == checks + 1, "a connection older than a death is looked at before it is handed out"
    assert use(pool) is fresh
    assert driver.checking.calls == checks + 1
    pool.close()


def test_keepalive_does_not_change_whose_turn_it_is(clock):
    driver = FakeDriver()
    pool = driver.pool(max_size=3, keepalive=30, check_after=None)
    a, b, c = (pool.checkout() for _ in range(3))
    for connection in (b, a, c):
        pool.checkin(connection)
    clock.advance(30)
    assert driver.checking.calls == 3
    assert [pool.checkout(), pool.checkout(), pool.checkout()] == [c, a, b]
    pool.close()


def test_keepalive_and_a_caller_at_the_same_time(clock):
    """A connection that is being checked cannot be handed out; a caller meanwhile gets another one."""
    driver = FakeDriver()
    pool = driver.pool(max_size=2, keepalive=30, check_after=None)
    first = use(pool)
    driver.checking.hold()
    with pytest.raises(TimeoutError):
        clock.advance(30, patience=0.05)
    driver.checking.held()
    with pool.connection(timeout=0) as c:
        assert c is not first
        driver.checking.go()
        clock.settle()
    assert balanced(pool).idle == 2
    pool.close()


# ---- the minimum


def test_the_minimum_is_opened_with_the_pool_and_again_by_the_keeper(clock):
    driver = Plain()
    pool = driver.pool(min_size=3)
    assert len(pool) == 3
    lease = pool.connection()
    with lease:
        lease.discard()
    clock.settle()
    assert (len(pool), len(driver.made)) == (3, 4)
    pool.close()


def test_when_the_minimum_cannot_be_opened_the_keeper_comes_back_with_growing_pauses(clock):
    driver = Plain()
    pool = driver.pool(min_size=1, backoff=(1, 8))
    driver.connecting.mode = Failure("down")
    lease = pool.connection()
    with lease:
        lease.discard()
    clock.settle()
    tries = [driver.connecting.calls]
    for _ in range(40):
        clock.advance(0.5)
        tries.append(driver.connecting.calls)
    when = [i * 0.5 for i in range(1, len(tries)) if tries[i] > tries[i - 1]]
    assert when == [1.0, 3.0, 7.0, 15.0]
    driver.connecting.mode = "ok"
    clock.advance(8)
    assert len(pool) == 1
    pool.close()


def test_a_pool_that_cannot_be_opened_leaves_nothing_open():
    driver = Plain()

    def third_fails():
        if driver.connecting.calls == 3:
            raise Failure("third")

    driver.connecting.mode = third_fails
    with pytest.raises(Failure, match="third"):
        driver.pool(min_size=4)
    assert len(driver.made) == 2
    assert driver.open == []
