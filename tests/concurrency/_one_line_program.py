"""Threads, tasks and greenlets of one process on one Pool: ``python _one_line_program.py MODE SEED OPERATIONS``.

MODE "order": waiters of all kinds are served in the order in which they came. MODE "storm": random cancellations, kills
and timeouts. MODE "circle": one of each kind over three pools; SEED says which kind closes the circle. Prints "well" at
the end; fails with an AssertionError, or hangs.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import gevent

import fastpool
from tests._slots import in_hand
from tests.pool.ordered_owner import Block, finished

mode, seed, operations = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
SIZE = 1 if mode == "order" else 4


class Thing:
    users = 0


pool = fastpool.Pool(Thing, max_size=SIZE, timeout=30)
failures: list[BaseException] = []


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, pool
        time.sleep(0.0005)


def at_rest() -> bool:
    s = pool.stats()
    return (s.leased, s.connecting, s.waiting) == (0, 0, 0) and s.idle == len(pool) and not in_hand(pool)


def used(c: Thing) -> None:
    c.users += 1
    assert c.users == 1, "two users at once"


def thread(work: Callable[[], Any]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    one = threading.Thread(target=run)
    one.start()
    return one


class Hub:
    """A thread with a gevent hub, in which `spawn` starts greenlets."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.thread = thread(self.run)
        self.ready.wait(10)

    def run(self) -> None:
        self.hub = gevent.get_hub()
        self.over = self.hub.loop.async_()
        self.stop = gevent.event.Event()
        self.over.start(self.stop.set)
        self.greenlets: list[Any] = []
        self.ready.set()
        self.stop.wait()
        gevent.joinall(self.greenlets, raise_error=True)
        self.over.close()
        self.hub.destroy()

    def spawn(self, work: Callable[[], Any]) -> None:
        self.hub.loop.run_callback_threadsafe(lambda: self.greenlets.append(gevent.spawn(work)))

    def end(self) -> None:
        self.over.send()
        self.thread.join(30)


class Loop:
    """A thread with an event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = thread(self.loop.run_forever)

    def spawn(self, work: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(), self.loop)

    def end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def in_order() -> None:
    order: list[int] = []

    def sync(n: int) -> None:
        with pool.connection():
            order.append(n)

    async def task(n: int) -> None:
        async with pool.aconnection():
            order.append(n)

    hub, loop = Hub(), Loop()
    rng = random.Random(seed)
    c = pool.checkout()
    threads = []
    for n in range(60):
        kind = rng.randrange(3)
        if kind == 0:
            threads.append(thread(lambda n=n: sync(n)))
        elif kind == 1:
            hub.spawn(lambda n=n: sync(n))
        else:
            loop.spawn(lambda n=n: task(n))
        until(lambda n=n: pool.stats().waiting == n + 1)
    pool.checkin(c)
    until(lambda: len(order) == 60)
    for one in threads:
        one.join(10)
    hub.end()
    loop.end()
    assert order == list(range(60)), order


async def takes_two(pools: list[Any], place: int, block: Any, pause: Any, ends: dict[int, str]) -> None:
    """Hold pool `place`, and ask for the one after it as soon as all are held and `place` others wait."""
    async with block(pools[place]):
        while [sum(getattr(p.stats(), what) for p in pools) for what in ("leased", "waiting")] != [3, place]:
            await pause(0.001)
        try:
            async with block(pools[(place + 1) % 3]):
                ends[place] = "entered"
        except fastpool.PoolDeadlock as error:
            ends[place] = str(error)


def circle() -> None:
    async def slept(seconds: float) -> None:
        time.sleep(seconds)

    async def greenlet_slept(seconds: float) -> None:
        gevent.sleep(seconds)

    pools = [fastpool.Pool(object, max_size=1, timeout=None, name=name) for name in "abc"]
    ends: dict[int, str] = {}
    places = [(kind + seed) % 3 for kind in range(3)]
    hub, loop = Hub(), Loop()
    one = thread(lambda: finished(takes_two(pools, places[0], Block, slept, ends)))
    hub.spawn(lambda: finished(takes_two(pools, places[1], Block, greenlet_slept, ends)))
    loop.spawn(lambda: takes_two(pools, places[2], fastpool.Pool.aconnection, asyncio.sleep, ends))
    until(lambda: len(ends) == 3 and all(p.stats().leased == 0 for p in pools))
    one.join(10)
    hub.end()
    loop.end()
    assert [ends[0], ends[1]] == ["entered", "entered"], ends
    said = ends[2].splitlines()
    assert said[0] == "pool 'a': this wait closes a circle that nothing can end:", said
    chain = {(line.split()[0], line[line.index(" holds ") :]) for line in said[1:4]}
    kinds = dict(zip(places, ("thread", "greenlet", "task"), strict=True))
    names = "abca"
    expected = {
        (kinds[n], f" holds a lease of pool {names[n]!r} and waits for pool {names[n + 1]!r}") for n in range(3)
    }
    assert chain == expected, said


def storm() -> None:
    share = operations // 6

    def threads_work(rng: random.Random) -> None:
        for _ in range(share):
            try:
                with pool.connection(timeout=rng.choice([None, 0, 0.0005, 5])) as c:
                    used(c)
                    try:
                        if rng.random() < 0.05:
                            raise ValueError
                        if rng.random() < 0.3:
                            time.sleep(0)
                    finally:
                        c.users -= 1
            except (fastpool.NoConnectionsAvailable, ValueError):
                pass

    def greenlets_work(rng: random.Random) -> None:
        def one() -> None:
            try:
                with gevent.Timeout(rng.choice([None, None, 0.0005, 0.005]), False):
                    with pool.connection(timeout=rng.choice([None, 0, 0.0005, 5])) as c:
                        used(c)
                        try:
                            gevent.sleep(0)
                        finally:
                            c.users -= 1
            except fastpool.NoConnectionsAvailable:
                pass

        live: list[Any] = []
        for _ in range(share):
            live.append(gevent.spawn(one))
            if rng.random() < 0.25:
                rng.choice(live).kill(block=False)
            if len(live) > 8:
                gevent.wait(live, count=1)
                live = [g for g in live if not g.dead]
        gevent.joinall(live)
        gevent.get_hub().destroy()

    def tasks_work(rng: random.Random) -> None:
        async def one() -> None:
            try:
                async with asyncio.timeout(rng.choice([None, None, 0.0005, 0.005])):
                    async with pool.aconnection(timeout=rng.choice([None, 0, 0.0005, 5])) as c:
                        used(c)
                        try:
                            await asyncio.sleep(0)
                        finally:
                            c.users -= 1
            except (fastpool.NoConnectionsAvailable, TimeoutError):
                pass

        async def main() -> None:
            live: set[Any] = set()
            for _ in range(share):
                live.add(asyncio.create_task(one()))
                if rng.random() < 0.25:
                    rng.choice(list(live)).cancel()
                if len(live) > 8:
                    _, live = await asyncio.wait(live, return_when=asyncio.FIRST_COMPLETED)
            for ended in await asyncio.gather(*live, return_exceptions=True):
                assert ended is None or isinstance(ended, asyncio.CancelledError), ended

        asyncio.run(main())

    works = [threads_work, threads_work, greenlets_work, greenlets_work, tasks_work, tasks_work]
    threads = [thread(lambda w=w, n=n: w(random.Random(seed * 100 + n))) for n, w in enumerate(works)]
    for one in threads:
        one.join(60 + operations / 500)
        assert not one.is_alive(), f"a concurrency model stands still: {pool} {pool.stats()}"


{"order": in_order, "circle": circle, "storm": storm}[mode]()
assert failures == [], failures
until(at_rest)
s = pool.stats()
assert s.checkouts == s.checkins and s.connects == sum(s.closed.values()) + s.size, s
assert mode != "storm" or min(s.timeouts, s.cancelled, s.closed["error"]) > operations / 1000, s
together = [pool.checkout(timeout=5) for _ in range(SIZE)]
assert len({id(c) for c in together}) == SIZE
for c in together:
    assert c.users == 0
    pool.checkin(c)
print("well")
