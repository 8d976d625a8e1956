"""Pools that can travel, and what is done with them where they arrive. Importable by name, as pickle wants it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import fastpool

opened = 0  # connections, in this process
_counting = threading.Lock()


class Connection:
    """Knows the process it was opened in."""

    def __init__(self, server: Any = None) -> None:
        global opened
        with _counting:
            opened += 1
        self.pid = os.getpid()
        self.server = server

    def close(self) -> None:
        assert self.pid == os.getpid(), "a process closed what another one had opened"


class Driver(fastpool.Driver):
    """A driver with something to carry."""

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def connect(self, server: Any, timeout: float | None) -> Connection:
        return Connection(self.tag)


class Told:
    """A listener that can travel."""

    def connected(self, event: Any) -> None:
        pass


async def connect_later() -> Connection:
    return Connection()


class Holder:
    """Something that has a pool among its attributes."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool


class Met(fastpool.Pool):
    """Those who make one at the same time meet before it can be found."""

    before = staticmethod(lambda: None)

    def _start(self, driver: Any, config: Any) -> None:
        self.before()
        super()._start(driver, config)


def make(**options: Any) -> fastpool.Pool:
    return fastpool.Pool(Connection, **{"max_size": 2, "timeout": 5, **options})


def use(pool: Any, number: int = 0) -> dict[str, Any]:
    """Use it; say where, and on what."""
    with pool.connection() as c:
        return {
            "number": number,
            "pid": os.getpid(),
            "pool": id(pool),
            "name": pool.name,
            "opened by": c.pid,
            "opened": opened,
            "open": len(pool),
        }


def use_at_once(pools: list[Any]) -> list[dict[str, Any]]:
    """Use each in a thread of its own."""
    with ThreadPoolExecutor(len(pools)) as threads:
        return list(threads.map(use, pools))


def serve(calls: Any, answers: Any) -> None:
    """In a child: call what comes through the pipe until None comes."""
    while (call := calls.recv()) is not None:
        work, args = call
        answers.send(work(*args))


def same(a: Any, b: Any) -> bool:
    return a is b


_inherited: list[Any] = []


def inherit(pool: Any) -> None:
    """Remember what this process was begun with."""
    _inherited[:] = [pool]


def is_inherited(pool: Any) -> bool:
    return pool is _inherited[0]


def through(pool: Any) -> Callable[[int], dict[str, Any]]:
    """A function that has the pool in its closure."""
    return lambda number: use(pool, number)
