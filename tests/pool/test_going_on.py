"""Connects that take longer than callers wait go on in the background, so that later callers are served."""

import asyncio
import contextvars
import threading
import time

import pytest

import fastpool
from fastpool import AsyncPool, NoConnectionsAvailable, Pool, PoolClosed
from fastpool._async.workers import staff_of
from tests.pool.fake_driver import PATIENCE, Connection, Failure, Run, until
from tests.pool.opening_driver import in_loop, soon

ASKED = contextvars.ContextVar("asked", default="nobody")


class Slow:
    """Connects that take until the test releases them; one with a limit ends at that limit, as a socket's would."""

    def __init__(self):
        self.ready = threading.Event()
        self.made, self.limits, self.servers, self.seen = [], [], [], []
        self.refuses = False
        self.together = self.most_together = 0

    def connect(self, server=None, *, timeout):
        self.limits.append(timeout)
        self.servers.append(server)
        self.seen.append(ASKED.get())
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            if not self.ready.wait(PATIENCE if timeout is None else timeout):
                raise TimeoutError("connect took too long")
        finally:
            self.together -= 1
        return self.opened()

    async def aconnect(self, server=None, *, timeout):
        """The awaited connect, which ignores limits and is cancelled instead."""
        self.limits.append(timeout)
        self.servers.append(server)
        self.seen.append(ASKED.get())
        self.together += 1
        try:
            while not self.ready.is_set():
                await asyncio.sleep(0.001)
        finally:
            self.together -= 1
        return self.opened()

    def opened(self):
        if self.refuses:
            raise Failure("refused")
        self.made.append(Connection(len(self.made) + 1, None))
        return self.made[-1]


def close(c):
    c.closes += 1


def asks(pool, seconds=0.03):
    """One impatient caller of a synchronous pool; returns its error."""
    with pytest.raises(NoConnectionsAvailable) as caught, pool.connection(timeout=seconds):
        raise AssertionError
    return caught.value.phase


async def aasks(pool, seconds=0.03):
    with pytest.raises(NoConnectionsAvailable) as caught:
        async with pool.aconnection(timeout=seconds):
            raise AssertionError
    return caught.value.phase


SERVERS = pytest.mark.parametrize("servers", [None, ["a:1"], ["a:1", "b:2"]])


@SERVERS
@pytest.mark.parametrize("most", [1, 2])
def test_callers_that_are_never_patient_enough_are_served_in_the_end(most, servers):
    slow = Slow()
    pool = Pool(slow.connect, close=close, max_size=4, max_connecting=most, servers=servers)
    assert asks(pool) == "connect"
    until(lambda: len(slow.limits) == 2)
    assert 25 < slow.limits[1] <= 30 and pool.stats().connecting == 1
    for _ in range(4):
        with pytest.raises((NoConnectionsAvailable, TimeoutError, fastpool.AllServersUnavailable)):
            with pool.connection(timeout=0.03):
                raise AssertionError
    until(lambda: sum(limit > 1 for limit in slow.limits) == most)
    assert slow.most_together <= most and pool.stats().connecting == most
    slow.ready.set()
    until(lambda: pool.stats().idle == most)
    with pool.connection(timeout=0) as c:
        assert c in slow.made
    assert pool.stats().connecting == 0
    pool.close()


@SERVERS
def test_tasks_that_are_never_patient_enough_are_served_in_the_end(servers):
    """For a synchronous pool and for an AsyncPool; a connect that goes on keeps nothing of a request's context."""

    async def main():
        ASKED.set("a request")
        for pool, slow in ((Pool(one.connect, **options), one), (AsyncPool(other.aconnect, **options), other)):
            assert await aasks(pool) == "connect"
            await soon(lambda slow=slow: len(slow.limits) == 2)
            assert 25 < slow.limits[1] <= 30 and slow.seen[1] == "nobody"
            for _ in range(3):
                with pytest.raises((NoConnectionsAvailable, TimeoutError, fastpool.AllServersUnavailable)):
                    async with pool.aconnection(timeout=0.03):
                        raise AssertionError
            await soon(lambda slow=slow: sum(limit > 1 for limit in slow.limits) == 2)
            assert slow.most_together <= 2 and pool.stats().connecting == 2
            slow.ready.set()
            await soon(lambda pool=pool: pool.stats().idle and not pool.stats().connecting)
            async with pool.aconnection(timeout=0) as c:
                assert c in slow.made
            await pool.close() if isinstance(pool, AsyncPool) else pool.close()

    one, other = Slow(), Slow()
    options = {"close": close, "max_size": 4, "servers": servers}
    in_loop(main)


def test_the_first_in_line_then_gets_it():
    slow = Slow()
    pool = Pool(slow.connect, close=close, max_size=1, max_connecting=1)
    assert asks(pool) == "connect"
    late = Run(pool.checkout, PATIENCE)
    until(lambda: pool.stats().waiting == 1)
    slow.ready.set()
    assert [late.result()] == slow.made and len(slow.limits) == 2
    pool.checkin(slow.made[0])
    pool.close()


def test_the_first_in_line_gets_it_and_not_room_for_another():
    async def main():
        slow = Slow()
        pool = AsyncPool(slow.aconnect, close=close, max_size=4, max_connecting=1)
        assert await aasks(pool) == "connect"
        waiting = asyncio.create_task(pool.checkout(timeout=PATIENCE))
        await soon(lambda: pool.stats().waiting == 1)
        slow.ready.set()
        assert await waiting is slow.made[0] and len(slow.limits) == 2
        pool.checkin(slow.made[0])
        await pool.close()

    in_loop(main)


def test_what_goes_on_and_fails_is_counted_once_and_leaves_room():
    slow = Slow()
    pool = Pool(slow.connect, close=close, max_size=1, max_connecting=1)
    assert asks(pool) == "connect"
    until(lambda: len(slow.limits) == 2)
    slow.refuses = True
    slow.ready.set()
    until(lambda: pool.stats().connect_errors == 2)
    stats = pool.stats()
    assert (stats.connecting, stats.size, stats.timeouts) == (0, 0, 1)
    with pytest.raises(Failure):
        pool.checkout(timeout=5)
    slow.refuses, slow.ready = False, threading.Event()
    assert asks(pool) == "connect"  # and it goes on again
    until(lambda: pool.stats().connecting == 1)
    slow.ready.set()
    until(lambda: pool.stats().idle == 1)
    pool.close()


@pytest.mark.parametrize("what", ["refused", "without limit", "open", "warm"])
def test_nothing_goes_on_after_what_no_callers_deadline_ended(what):
    slow = Slow()
    pool = Pool(slow.connect, close=close, max_size=2, timeout=0.02, open=False, min_size=1 if what == "open" else 0)
    if what in ("refused", "without limit"):
        slow.refuses = True
        slow.ready.set()
        with pytest.raises(Failure):
            pool.checkout(timeout=5 if what == "refused" else None)
    elif what == "open":
        with pytest.raises(NoConnectionsAvailable):
            pool.open()
    else:
        with pytest.raises(NoConnectionsAvailable):
            pool.warm(timeout=0.02)
    assert staff_of(pool).behind.count == 0 and pool.stats().connecting == 0 and len(slow.limits) == 1
    pool.close()


def test_closed_meanwhile_it_is_closed():
    slow = Slow()
    pool = Pool(slow.connect, close=close, max_size=1)
    assert asks(pool) == "connect"
    until(lambda: len(slow.limits) == 2)
    pool.close()
    slow.ready.set()
    until(lambda: slow.made and slow.made[0].closed)
    assert len(pool) == 0
    with pytest.raises(PoolClosed):
        pool.checkout()


def test_an_async_pool_that_is_closed_stops_it():
    async def main():
        slow = Slow()
        pool = AsyncPool(slow.aconnect, close=close, max_size=1)
        assert await aasks(pool) == "connect"
        await soon(lambda: slow.together == 1)
        await pool.close()
        await soon(lambda: slow.together == 0 and pool.stats().connecting == 0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())


def test_a_caller_that_is_cancelled_ends_its_connect_and_nothing_goes_on():
    async def main():
        slow = Slow()
        pool = AsyncPool(slow.aconnect, close=close, max_size=1)
        task = asyncio.create_task(pool.checkout())
        await soon(lambda: slow.together == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (slow.together, pool.stats().connecting, len(slow.limits)) == (0, 0, 1)
        await pool.close()

    in_loop(main)


def test_without_a_thread_for_it_the_caller_is_told_as_ever(monkeypatch):
    def refuse(*args):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("fastpool._async.workers.start", refuse)
    slow = Slow()
    pool = Pool(slow.connect, close=close, max_size=1, max_connecting=1)
    for _ in range(2):
        assert asks(pool) == "connect"
    assert (pool.stats().connecting, pool.stats().connect_errors) == (0, 2)
    slow.ready.set()
    pool.checkin(pool.checkout(timeout=5))
    pool.close()


def test_a_server_that_refuses_is_left_alone_by_what_goes_on():
    """A server that callers had too little time for is asked all the same; one that refused is not."""
    slow = Slow()
    pool = Pool(slow.connect, close=close, max_size=4, max_connecting=4, servers=["a:1"], backoff=(60, 60))
    slow.refuses = True
    slow.ready.set()
    with pytest.raises(Failure):
        pool.checkout(timeout=5)
    began = time.monotonic()
    with pytest.raises(Failure):
        pool.checkout(timeout=0.02)
    assert time.monotonic() - began < 5 and slow.servers == [("a", 1)]
    pool.close()


def test_a_check_waits_for_none_of_what_goes_on():
    async def main():
        slow, checks = Slow(), []
        options = {"check": lambda c: checks.append(c) or True, "check_after": 0, "max_connecting": 1}
        pool = Pool(slow.connect, close=close, **options)
        slow.ready.set()
        pool.checkin(pool.checkout())
        slow.ready.clear()
        held = pool.checkout()
        assert await aasks(pool) == "connect"
        await soon(lambda: slow.together == 1 and slow.limits[-1] > 25)
        pool.checkin(held)
        async with pool.aconnection(timeout=PATIENCE) as c:
            assert c is held and checks
        slow.ready.set()
        await soon(lambda: pool.stats().idle == 2)
        pool.close()

    in_loop(main)
