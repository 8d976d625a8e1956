"""Connections that record their use, and waiting for a condition with a time limit."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from tests._slots import in_hand

_numbers = itertools.count(1)


class Told:
    """A connection that knows its number, its present users, and the loop it was opened in."""

    def __init__(self, loop: Any = None) -> None:
        self.number = next(_numbers)
        self.loop = loop
        self.users = 0
        self.closed_in: Any = None
        self.closed = False
        self.resets = 0

    def use(self) -> None:
        """Begin to use it; AssertionError if another user does already, or if it is closed."""
        assert not self.closed, f"connection {self.number} is closed"
        self.users += 1
        assert self.users == 1, f"connection {self.number} has {self.users} users at once"

    def leave(self) -> None:
        self.users -= 1

    def close(self) -> None:
        self.closed = True
        self.closed_in = threading.get_ident()


class ToldByLoop(Told):
    """A `Told` for AsyncPool, opened and closed by coroutines."""

    @classmethod
    async def open(cls) -> ToldByLoop:
        await asyncio.sleep(0)
        return cls(asyncio.get_running_loop())

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed = True
        self.closed_in = asyncio.get_running_loop()


def eventually(holds: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether ``holds()`` becomes true in time; for threads."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


async def soon(holds: Callable[[], object], seconds: float = 10.0) -> bool:
    """Whether ``holds()`` becomes true in time; for tasks, because the loop goes on."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0)  # not for a time: tests move the clock of the loop
    return True


def at_rest(pool: Any) -> bool:
    """Whether no lease, connect or wait is under way and no slot is lost."""
    stats = pool.stats()
    return (stats.leased, stats.connecting, stats.waiting) == (0, 0, 0) and not in_hand(pool)
