"""Before an unused connection is handed out its socket is probed, without reading; then the driver's check is
called."""

import os
import select
import socket

import pytest

import fastpool
from fastpool import Pool
from tests.pool.fake_driver import PATIENCE, Abort, Failure, FakeDriver, balanced, serves


def use(pool):
    with pool.connection() as c:
        return c


def test_a_quiet_socket_is_handed_out_again(pairs, clock):
    pool = Pool(pairs.connect)
    c = use(pool)
    clock.advance(1)
    assert use(pool) is c
    assert balanced(pool).closed["dead"] == 0


def test_one_that_the_other_side_has_closed_is_replaced(pairs, clock):
    pool = Pool(pairs.connect)
    c = use(pool)
    pairs.far[0].close()
    clock.advance(0.4)
    assert use(pool) is c  # not probed before check_after is over
    clock.advance(0.6)
    assert use(pool) is pairs.near[1]
    assert c.fileno() == -1
    assert balanced(pool).closed["dead"] == 1


def test_one_with_data_waiting_is_out_of_step_and_nothing_is_read(pairs, clock):
    closed = []
    pool = Pool(pairs.connect, close=closed.append)
    c = use(pool)
    pairs.far[0].send(b"late reply")
    clock.advance(1)
    assert use(pool) is pairs.near[1]
    assert closed == [c]
    assert c.recv(100) == b"late reply"
    assert balanced(pool).closed["desync"] == 1


def test_data_and_then_the_end_is_out_of_step(pairs, clock):
    pool = Pool(pairs.connect, close=lambda c: None)
    use(pool)
    pairs.far[0].send(b"x")
    pairs.far[0].close()
    clock.advance(1)
    use(pool)
    assert balanced(pool).closed["desync"] == 1


def test_a_reset_connection_is_dead(clock):
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted = []

        def connect():
            near = socket.create_connection(server.getsockname())
            accepted.append(server.accept()[0])
            return near

        pool = Pool(connect)
        c = use(pool)
        accepted[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        accepted[0].close()  # RST
        assert select.select([c], [], [], PATIENCE)[0]
        clock.advance(1)
        use(pool)
        assert balanced(pool).closed["dead"] == 1
        pool.close()
        accepted[1].close()


def test_a_socket_that_its_last_user_closed(pairs, clock):
    pool = Pool(pairs.connect)
    use(pool).close()
    clock.advance(1)
    assert use(pool) is pairs.near[1]
    assert balanced(pool).closed["dead"] == 1


def test_check_after_0_looks_always(pairs):
    pool = Pool(pairs.connect, check_after=0)
    for n in range(5):
        assert use(pool) is pairs.near[n]
        pairs.far[n].close()
    assert use(pool) is pairs.near[5]
    assert balanced(pool).closed["dead"] == 5


def test_check_after_none_never_looks(pairs, clock):
    pool = Pool(pairs.connect, check_after=None)
    c = use(pool)
    pairs.far[0].close()
    clock.advance(3600)
    assert use(pool) is c


def test_a_fileno_of_ones_own(pairs, clock):
    class Wrapped:
        def __init__(self, sock):
            self.sock = sock

        def close(self):
            self.sock.close()

    pool = Pool(lambda: Wrapped(pairs.connect()), fileno=lambda c: c.sock.fileno())
    use(pool)
    pairs.far[0].close()
    clock.advance(1)
    assert use(pool).sock is pairs.near[1]
    assert balanced(pool).closed["dead"] == 1


def test_a_fileno_that_says_there_is_none(clock):
    checked = []
    pool = Pool(object, fileno=lambda c: -1, check=lambda c: checked.append(c) or True)
    c = use(pool)
    clock.advance(1)
    assert use(pool) is c
    assert checked == [c]


def test_a_fileno_that_is_no_number_is_none(clock):
    class Odd:
        def fileno(self):
            return "seven"

    pool = Pool(Odd)
    c = use(pool)
    clock.advance(1)
    assert use(pool) is c


def test_a_fileno_that_raises_means_dead(clock):
    class Broken:
        def fileno(self):
            raise OSError("broken")

    pool = Pool(Broken)
    c = use(pool)
    clock.advance(1)
    assert use(pool) is not c
    assert balanced(pool).closed["dead"] == 1


def test_a_connection_whose_fileno_cannot_even_be_asked_for_costs_nothing_but_itself():
    closed = []

    class Hostile:
        @property
        def fileno(self):
            raise Failure("hands off")

    makers = [Hostile, object]
    pool = Pool(lambda: makers.pop(0)(), close=closed.append, max_size=1)
    with pytest.raises(Failure, match="hands off"):
        pool.checkout()
    assert len(closed) == 1
    assert balanced(pool).closed["error"] == 1
    pool.checkin(pool.checkout())


def test_a_pipe_has_no_peeking_but_an_end(clock):
    ends = []

    def connect():
        read, write = os.pipe()
        ends.append(write)
        return os.fdopen(read, "rb", buffering=0)

    pool = Pool(connect)
    c = use(pool)
    clock.advance(1)
    assert use(pool) is c
    os.close(ends[0])
    clock.advance(1)
    assert use(pool) is not c
    assert balanced(pool).closed["dead"] == 1
    pool.close()
    os.close(ends[1])


# ---- the driver's check


def test_check_is_asked_of_what_was_unused_for_check_after(clock):
    driver = FakeDriver()
    pool = driver.pool(check_after=5)
    c = use(pool)
    clock.advance(4.9)
    use(pool)
    assert driver.checking.calls == 0
    clock.advance(5)
    assert use(pool) is c
    assert driver.checking.calls == 1
    use(pool)
    assert driver.checking.calls == 1


@pytest.mark.parametrize("said", ["false", "raises"])
def test_what_check_does_not_like_is_replaced(clock, said):
    driver = FakeDriver()
    pool = driver.pool()
    c = use(pool)
    clock.advance(1)
    if said == "false":
        c.dead = True
    else:
        driver.checking.mode = Failure()
    assert use(pool) is not c
    assert c.closes == 1
    assert balanced(pool).closed["dead"] == 1


def test_check_that_raises_what_is_no_exception(clock):
    driver = FakeDriver()
    pool = driver.pool(max_size=1)
    c = use(pool)
    clock.advance(1)
    driver.checking.mode = Abort()
    with pytest.raises(Abort):
        pool.checkout()
    assert c.closes == 1
    driver.checking.mode = "ok"
    serves(pool, 1)
    assert balanced(pool).closed["error"] == 1


def test_the_probe_comes_before_the_check(pairs, clock):
    checked = []
    pool = Pool(pairs.connect, check=lambda c: checked.append(c) or True)
    use(pool)
    pairs.far[0].close()
    clock.advance(1)
    use(pool)
    assert checked == []
    clock.advance(1)
    use(pool)
    assert checked == [pairs.near[1]]


@pytest.mark.parametrize("limit", [None, 5.0])
def test_check_and_connect_are_told_what_time_they_have(clock, limit):
    told = []

    def connect(timeout):
        told.append(("connect", timeout))
        return object()

    def check(c, timeout=None):
        told.append(("check", timeout))
        clock.advance(2)
        return False

    pool = Pool(connect, check=check, timeout=30, check_timeout=limit)
    use(pool)
    clock.advance(1)
    use(pool)
    clock.advance(1)
    with pool.connection(timeout=None):
        pass
    asked = [("check", limit or 30.0), ("connect", 28.0), ("check", limit), ("connect", None)]
    assert told == [("connect", 30.0), *asked]


def test_a_check_that_uses_up_the_time(clock):
    driver = FakeDriver()
    pool = driver.pool(max_size=1, timeout=3)
    use(pool)
    clock.advance(1)
    driver.made[0].dead = True
    driver.checking.mode = lambda: clock.advance(4)
    with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
        pool.checkout()
    assert (caught.value.phase, caught.value.waited) == ("check", pytest.approx(4))
    assert "checking connections" in str(caught.value)
    driver.checking.mode = "ok"
    assert serves(pool, 1) == [driver.made[1]]


# ---- all of them stale


def test_a_pool_of_dead_connections_recovers_with_the_first_caller(pairs, clock):
    """psycopg_pool 3.3.3 needs 20 s for this, and does not recover."""
    pool = Pool(pairs.connect, max_size=6)
    pool.warm()
    for far in pairs.far:
        far.close()
    clock.advance(1)
    for _ in range(10):
        c = use(pool)
        assert c.fileno() >= 0
    assert len(pairs.near) == 7, "the last returned was replaced, and that one used from then on"
    serves_all = [pool.checkout(timeout=0) for _ in range(6)]
    assert all(c.fileno() >= 0 for c in serves_all)
    assert pool.stats().closed["dead"] == 6
    pool.close(timeout=0)


def test_after_one_death_the_others_are_looked_at_however_fresh_they_are(pairs, clock):
    pool = Pool(pairs.connect, max_size=3, check_after=10)
    out = [pool.checkout() for _ in range(3)]
    pool.checkin(out[0])
    clock.advance(11)
    pool.checkin(out[1])  # fresh; and out[2] is still leased
    for far in pairs.far:
        far.close()
    with pool.connection() as fresh:  # this one is not probed
        assert fresh is out[1]
        assert pool.checkout() is pairs.near[3]  # out[0] was found dead
    pool.checkin(out[2])
    assert pool.checkout().fileno() >= 0
    assert pool.checkout().fileno() >= 0
    assert pool.stats().closed["dead"] == 3
    pool.close(timeout=0)
