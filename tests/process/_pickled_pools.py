"""Pools that can be pickled, and what is done with them on arrival. Importable by name, as pickle needs."""

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
    """A connection that knows the process it was opened in."""

    def __init__(self, server: Any = None) -> None:
        global opened
        with _counting:
            opened += 1
        self.pid = os.getpid()
        self.server = server

    def close(self) -> None:
        assert self.pid == os.getpid(), "a process closed what another one had opened"


class Driver(fastpool.Driver):
    """A driver with an attribute to pickle."""

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def connect(self, server: Any, timeout: float | None) -> Connection:
        return Connection(self.tag)


class Told:
    """A listener that can be pickled."""

    def connected(self, event: Any) -> None:
        pass


async def connect_later() -> Connection:
    return Connection()


class Holder:
    """An object that has a pool among its attributes."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool


class Met(fastpool.Pool):
    """A pool whose construction waits, so that several threads unpickle it before it can be found."""

    before = staticmethod(lambda: None)

    def _start(self, driver: Any, config: Any) -> None:
        self.before()
        super()._start(driver, config)


def make(**options: Any) -> fastpool.Pool:
    return fastpool.Pool(Connection, **{"max_size": 2, "timeout": 5, **options})


def use(pool: Any, number: int = 0) -> dict[str, Any]:
    """Use it; the process, the pool and the connection."""
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
    """Use each in a thread of its own, at once."""
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
    """Remember the arguments that this process was started with."""
    _inherited[:] = [pool]


def is_inherited(pool: Any) -> bool:
    return pool is _inherited[0]


def through(pool: Any) -> Callable[[int], dict[str, Any]]:
    """A function that has the pool in its closure."""
    return lambda number: use(pool, number)
