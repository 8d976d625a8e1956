"""Faults in every call of a driver, drawn by a seed: it raises, also what is not an Exception; it hangs for a moment;
it says that a connection is dead, or returns the descriptor of a dead one."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections import Counter
from typing import Any

import fastpool

from .fake_driver import Abort, Failure

KINDS = ("raise", "abort", "hang", "lie")


class Wire:
    """A connection with two ends, so that the probe has a socket to look at."""

    def __init__(self) -> None:
        self.mine, self.other = socket.socketpair()
        self.closes = 0
        self.users = 0

    def fileno(self) -> int:
        return self.mine.fileno()

    @property
    def closed(self) -> bool:
        return self.closes > 0

    def close(self) -> None:
        self.closes += 1
        self.mine.close()
        self.other.close()


class Stormy(fastpool.Driver):
    """Opens `Wire`s; while `calm` is not set, one call in `seldom` goes wrong."""

    def __init__(self, seed: int, seldom: int = 4) -> None:
        self.calm = threading.Event()
        self.seldom = seldom
        self.faults: Counter[tuple[str, str]] = Counter()
        self.made: list[Wire] = []
        self._seed = seed
        self._own = threading.local()
        self._lock = threading.Lock()

    @property
    def rng(self) -> random.Random:
        """One per thread, so that no lock serializes the threads."""
        if not hasattr(self._own, "rng"):
            with self._lock:
                self._seed += 1
                self._own.rng = random.Random(self._seed)
        rng: random.Random = self._own.rng
        return rng

    def weather(self, step: str, c: Wire | None = None) -> None:
        """Maybe inject a fault."""
        if self.calm.is_set() or self.rng.randrange(self.seldom):
            return
        kind = self.rng.choice(KINDS)
        with self._lock:
            self.faults[step, kind] += 1
        if kind == "raise":
            raise Failure(step)
        if kind == "abort":
            raise Abort(step)
        if kind == "hang":
            time.sleep(self.rng.uniform(0, 0.003))
        elif c is not None and c.closes == 0:
            # the server hangs up, or sends something unasked
            if self.rng.random() < 0.5:
                c.other.shutdown(socket.SHUT_RDWR)
            else:
                c.other.send(b"late")

    def connect(self, server: Any, timeout: float | None) -> Wire:
        self.weather("connect before")
        c = Wire()
        try:
            self.weather("connect after")
        except BaseException:
            c.close()
            raise
        with self._lock:
            self.made.append(c)
        return c

    def check(self, c: Wire, timeout: float | None) -> bool:
        self.weather("check", c)
        return self.calm.is_set() or self.rng.random() > 0.1

    def reset(self, c: Wire) -> None:
        self.weather("reset", c)

    def close(self, c: Wire) -> None:
        c.close()
        self.weather("close")

    def fileno(self, c: Wire) -> int:
        self.weather("fileno", c)
        return c.fileno()

    def usable(self, c: Wire, exc: BaseException) -> bool:
        self.weather("usable", c)
        return isinstance(exc, LookupError)

    def abandon(self, c: Wire) -> None:
        self.weather("abandon")
        os.close(c.mine.detach())
        os.close(c.other.detach())


class Caller(threading.Thread):
    """Uses the pool in every way until told to stop; what must never happen is recorded in `wrong`."""

    EXPECTED = (fastpool.NoConnectionsAvailable, fastpool.PoolOverloaded, Failure, Abort, LookupError)

    def __init__(self, pool: fastpool.Pool, seed: int, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.pool, self.over = pool, over
        self.rng = random.Random(seed)
        self.turns = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self.over.is_set():
            self.turns += 1
            try:
                self.turn()
            except self.EXPECTED:
                pass
            except BaseException as error:
                self.wrong.append(repr(error))

    def turn(self) -> None:
        rng, pool = self.rng, self.pool
        timeout = rng.choice((0, 0.001, 0.01, 0.05, 1.0))
        draw = rng.random()
        if draw < 0.02:
            sizes = {"max_size": rng.randint(1, 6), "max_overflow": rng.choice((0, 1, -1))}
            pool.resize(min_size=0, **sizes, max_idle=rng.choice((None, 1, 3)))
        elif draw < 0.03:
            pool.clear()
        elif draw < 0.04:
            pool.warm(timeout=0.01)
        elif draw < 0.4:
            c = pool.checkout(timeout=timeout)
            try:
                self.use(c)
            finally:
                pool.checkin(c, discard=rng.random() < 0.05)
        else:
            lease = pool.connection(timeout=timeout)
            with lease as c:
                self.use(c)
                if rng.random() < 0.03:
                    lease.discard()
                if rng.random() < 0.1:
                    raise rng.choice((LookupError(), Failure("block"), Abort("block")))

    def use(self, c: Wire) -> None:
        c.users += 1
        if c.users != 1 or c.closes:
            self.wrong.append(f"{c.users} users of a connection closed {c.closes} times")
        if self.rng.random() < 0.2:
            time.sleep(self.rng.uniform(0, 0.002))
        c.users -= 1
