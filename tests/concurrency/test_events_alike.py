"""Listeners get the same events for threads and for tasks: all of them, in the same order, with the same fields."""

import asyncio
import threading

import pytest

import fastpool
from fastpool._telemetry.events import EVENTS
from tests.pool.fake_driver import PATIENCE, Failure, FakeDriver, Plain

A = ("a", 1)
FIELDS = ("server", "connection", "reason", "error", "waited", "duration")


class Ear:
    """A listener that records the names of events, and those of their fields that can be compared."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, name):
        if name not in EVENTS:
            raise AttributeError(name)
        return self.hear

    def hear(self, event):
        fields = {field: getattr(event, field) for field in FIELDS if getattr(event, field) is not None}
        for name in ("waited", "duration"):
            if name in fields:
                assert fields[name] >= 0
                fields[name] = "some time"
        if "error" in fields:
            fields["error"] = type(fields["error"])
        if "connection" in fields:
            fields["connection"] = fields["connection"].number
        self.heard.append((event.name, fields))


class AsyncFakeDriver(FakeDriver):
    """A `FakeDriver` for AsyncPool, whose calls are coroutines."""

    async def connect(self, server, timeout):
        return FakeDriver.connect(self, server, timeout)

    async def check(self, c, timeout):
        return FakeDriver.check(self, c, timeout)

    async def reset(self, c):
        FakeDriver.reset(self, c)

    async def close(self, c):
        FakeDriver.close(self, c)


class AsyncPlain(AsyncFakeDriver):
    """Without check and reset."""

    check = fastpool.Driver.check
    reset = fastpool.Driver.reset


class Threads:
    """Runs a story in a thread, on a Pool."""

    kinds, pool_of = (Plain, FakeDriver), fastpool.Pool

    async def enter(self, pool, **how):
        lease = pool.connection(**how)
        return lease, lease.__enter__()

    async def leave(self, lease, error=None):
        lease.__exit__(type(error) if error else None, error, None)


class Tasks:
    """Runs a story in a task, on an AsyncPool."""

    kinds, pool_of = (AsyncPlain, AsyncFakeDriver), fastpool.AsyncPool

    async def enter(self, pool, **how):
        lease = pool.aconnection(**how)
        return lease, await lease.__aenter__()

    async def leave(self, lease, error=None):
        await lease.__aexit__(type(error) if error else None, error, None)
        await asyncio.sleep(0)  # let closes that were scheduled happen
        await asyncio.sleep(0)


class TasksOfAPool(Tasks):
    """Runs a story in a task, on a Pool."""

    kinds, pool_of = (Plain, FakeDriver), fastpool.Pool


async def a_block(play):
    lease, _ = await play.enter(play.pool)
    await play.leave(lease)
    lease, _ = await play.enter(play.pool)
    await play.leave(lease)


async def a_block_that_fails(play):
    lease, _ = await play.enter(play.pool)
    await play.leave(lease, Failure())


async def a_block_that_discards(play):
    lease, _ = await play.enter(play.pool)
    lease.discard()
    await play.leave(lease)


async def a_clear_while_it_is_out(play):
    lease, _ = await play.enter(play.pool)
    play.pool.clear("why not")
    await play.leave(lease)


async def a_connect_that_fails(play):
    play.driver.connecting.mode = Failure()
    with pytest.raises(Failure):
        await play.enter(play.pool)


async def nothing_to_be_had(play):
    lease, _ = await play.enter(play.pool)
    with pytest.raises(fastpool.NoConnectionsAvailable):
        await play.enter(play.pool, timeout=0)
    await play.leave(lease)


async def a_dead_one(play):
    lease, c = await play.enter(play.pool)
    await play.leave(lease)
    c.dead = True
    lease, _ = await play.enter(play.pool)
    await play.leave(lease)


async def a_reset_that_fails(play):
    lease, _ = await play.enter(play.pool)
    play.driver.resetting.mode = Failure()
    await play.leave(lease)


async def one_too_many(play):
    leases = [await play.enter(play.pool) for _ in range(2)]
    for lease, _ in leases:
        await play.leave(lease)


class Play:
    """One run of a story, in one concurrency model."""

    def __init__(self, way, story, options):
        self.ear = Ear()
        self.enter, self.leave = way().enter, way().leave
        self.driver = way.kinds[story in (a_dead_one, a_reset_that_fails)]()
        self.pool = way.pool_of(
            driver=self.driver, **{"max_size": 1, "servers": ["a:1"], "open": False, "listeners": [self.ear], **options}
        )

    async def told(self, story):
        await story(self)
        return self.ear.heard


@pytest.mark.parametrize("way", [Tasks, TasksOfAPool])
@pytest.mark.parametrize(
    ("story", "options"),
    [
        (a_block, {}),
        (a_block, {"max_uses": 1}),
        (a_block, {"max_idle": 0}),
        (a_block_that_fails, {}),
        (a_block_that_discards, {}),
        (a_clear_while_it_is_out, {}),
        (a_connect_that_fails, {}),
        (nothing_to_be_had, {}),
        (a_dead_one, {"check_after": 0}),
        (a_reset_that_fails, {}),
        (one_too_many, {"max_overflow": 1}),
    ],
)
def test_the_same_is_told(way, story, options):
    expected = asyncio.run(Play(Threads, story, options).told(story))
    assert asyncio.run(Play(way, story, options).told(story)) == expected
    assert len(expected) >= 4


def test_a_block_of_a_pool_is_over_when_its_close_has_been_told():
    """The thread that closes may be faster than the thread that calls the listener."""
    telling, go = threading.Event(), threading.Event()

    class Slow:
        def closed_connection(self, event):
            telling.set()
            assert go.wait(PATIENCE)

    async def main():
        pool = fastpool.Pool(driver=Plain(), max_size=1, max_idle=0, listeners=[Slow()])

        async def block():
            async with pool.aconnection():
                pass

        task = asyncio.create_task(block())
        assert await asyncio.to_thread(telling.wait, PATIENCE)
        done, _ = await asyncio.wait([task], timeout=0.2)
        go.set()
        await task
        assert not done, "over, and its close was not told yet"
        pool.close()

    asyncio.run(main())
