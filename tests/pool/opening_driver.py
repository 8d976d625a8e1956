"""Helpers for the tests of open(): a pool that is not open yet, and a driver whose connects are awaited."""

import asyncio

import fastpool
from tests.pool.fake_driver import PATIENCE, Connection


def unopened(driver, **options):
    return driver.pool(open=False, **options)


class AsyncPlain:
    """The counterpart of `Plain` for an AsyncPool: its connects and closes are coroutine functions."""

    def __init__(self):
        self.made, self.timeouts = [], []
        self.began = self.together = self.most_together = 0
        self.go = asyncio.Event()
        self.go.set()
        self.failures = {}  # number of the connect -> what it raises

    async def connect(self, timeout):
        self.began += 1
        number = self.began
        self.timeouts.append(timeout)
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            await self.go.wait()
            if number in self.failures:
                await self.failures[number]()
        finally:
            self.together -= 1
        self.made.append(Connection(number, None))
        return self.made[-1]

    async def close(self, c):
        await asyncio.sleep(0)
        c.closes += 1

    def pool(self, **options):
        return fastpool.AsyncPool(self.connect, close=self.close, **options)

    @property
    def open(self):
        return [c for c in self.made if not c.closed]


def in_loop(main):
    asyncio.run(asyncio.wait_for(main(), PATIENCE))


async def soon(condition):
    while not condition():
        await asyncio.sleep(0)
