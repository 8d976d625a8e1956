"""A thread that enters and leaves blocks when it is told to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from fastpool import NoConnectionsAvailable, Pool


class Owner:
    """It does one thing at a time; an error of a checkout is its result."""

    def __init__(self, name: str) -> None:
        self.orders: queue.Queue[Callable[[], object] | None] = queue.Queue()
        self.results: queue.Queue[object] = queue.Queue()
        self.blocks: list[Any] = []
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while (order := self.orders.get()) is not None:
            try:
                self.results.put(order())
            except NoConnectionsAvailable as error:
                self.results.put(error)

    def begins(self, pool: Pool[object], timeout: float | None = None) -> None:
        """Order it to enter a block of the pool; ``result()`` says how that ended."""

        def enter() -> str:
            block = pool.connection(timeout=timeout)
            block.__enter__()
            self.blocks.append(block)
            return "entered"

        self.orders.put(enter)

    def enters(self, pool: Pool[object]) -> None:
        self.begins(pool)
        assert self.result() == "entered"

    def leaves(self) -> None:
        self.orders.put(lambda: self.blocks.pop().__exit__(None, None, None))
        assert self.result() is None

    def result(self) -> Any:
        return self.results.get(timeout=20)

    def ends(self) -> None:
        while self.blocks:
            self.leaves()
        self.orders.put(None)
        self.thread.join(20)
        assert not self.thread.is_alive()
