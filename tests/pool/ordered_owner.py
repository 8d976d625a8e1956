"""A thread, or a task, that enters and leaves blocks when it is told to.

The steps are written once, as coroutines. Those of a thread suspend nowhere, so `finished` can run them.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastpool import NoConnectionsAvailable, Pool

Order = Callable[[], Awaitable[object]]


class Block:
    """A block of a Pool for a thread or a greenlet, with the methods of an awaited one."""

    def __init__(self, pool: Pool[object], timeout: float | None = None) -> None:
        self.block = pool.connection(timeout=timeout)

    async def __aenter__(self) -> object:
        return self.block.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.block.__exit__(*error)  # type: ignore[arg-type]


def finished(steps: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that suspends nowhere; what it returns."""
    try:
        steps.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for a loop")


class Owner:
    """A thread. It does one thing at a time; an error of a checkout is its result."""

    block: Any = Block

    def __init__(self, name: str) -> None:
        self.results: queue.Queue[object] = queue.Queue()
        self.blocks: list[Any] = []
        self._start(name)

    def _start(self, name: str) -> None:
        self.orders: Any = queue.Queue()
        self.thread = threading.Thread(target=lambda: finished(self._work()), name=name, daemon=True)
        self.thread.start()

    async def _next(self) -> Order | None:
        order: Order | None = self.orders.get()
        return order

    def _order(self, order: Order | None) -> None:
        self.orders.put(order)

    def _join(self) -> None:
        self.thread.join(20)
        assert not self.thread.is_alive()

    async def _work(self) -> None:
        while (order := await self._next()) is not None:
            try:
                self.results.put(await order())
            except NoConnectionsAvailable as error:
                self.results.put(error)

    def begins(self, pool: Pool[object], timeout: float | None = None) -> None:
        """Order it to enter a block of the pool; ``result()`` says how that ended."""

        async def enter() -> str:
            block = self.block(pool, timeout=timeout)
            await block.__aenter__()
            self.blocks.append(block)
            return "entered"

        self._order(enter)

    def enters(self, pool: Pool[object]) -> None:
        self.begins(pool)
        assert self.result() == "entered"

    def leaves(self) -> None:
        async def leave() -> None:
            await self.blocks.pop().__aexit__(None, None, None)

        self._order(leave)
        assert self.result() is None

    def result(self) -> Any:
        return self.results.get(timeout=20)

    def ends(self) -> None:
        while self.blocks:
            self.leaves()
        self._order(None)
        self._join()


class TaskOwner(Owner):
    """A task of a loop that runs in another thread."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        super().__init__(name)

    @staticmethod
    def block(pool: Pool[object], timeout: float | None = None) -> Any:
        return pool.aconnection(timeout=timeout)

    def _start(self, name: str) -> None:
        self.orders = asyncio.Queue()
        self.task = asyncio.run_coroutine_threadsafe(self._named(name), self.loop)

    async def _named(self, name: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(name)
        await self._work()

    async def _next(self) -> Order | None:
        order: Order | None = await self.orders.get()
        return order

    def _order(self, order: Order | None) -> None:
        self.loop.call_soon_threadsafe(self.orders.put_nowait, order)

    def _join(self) -> None:
        self.task.result(20)
