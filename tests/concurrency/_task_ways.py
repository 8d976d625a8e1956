"""The ways in which a task gets a connection, and the ways in which it is cancelled, for tests of every combination."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import fastpool
from tests._slots import in_hand

from ._told import Told, soon

LOOPS = ["asyncio", "uvloop"]
EVERY_LOOP = pytest.mark.parametrize("loop", LOOPS)
NOT_SERVED = (asyncio.CancelledError, TimeoutError, ExceptionGroup)  # what a cancelled task may end with


def run(loop: str, main: Callable[[], Awaitable[None]]) -> None:
    """``asyncio.run`` with one of LOOPS."""
    factory = None if loop == "asyncio" else pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())  # type: ignore[arg-type]


async def steps(count: int) -> None:
    """Let the loop run for that many iterations."""
    for _ in range(count):
        await asyncio.sleep(0)


class Gate:
    """Holds one of the driver's calls: sets ``entered`` when the call is reached, which returns once ``go`` is set."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.entered, self.go = threading.Event(), threading.Event()

    def hold(self, stage: str) -> None:
        if stage == self.stage:
            self.entered.set()
            assert self.go.wait(20), "held for too long"

    async def ahold(self, stage: str) -> None:
        if stage == self.stage:
            self.entered.set()
            assert await soon(self.go.is_set, 20), "held for too long"


class GatedPool:
    """A pool of one connection, its gate, and all the connections it opened."""

    def __init__(self, gate: Gate, kind: type[fastpool.Pool], plain: bool = False, **options: Any) -> None:
        """``plain``: without check and reset, so that a checkin hands over before it returns."""
        self.gate, self.made = gate, list[Told]()
        blocking = kind is fastpool.Pool
        calls: dict[str, Any] = {}
        if not plain:
            calls = {"check": self.check if blocking else self.acheck, "reset": self.reset if blocking else self.areset}
        connect: Any = self.connect if blocking else self.aconnect
        self.pool: Any = kind(connect, **calls, **{"max_size": 1, "timeout": None, **options})

    def opened(self) -> Told:
        self.made.append(Told())
        return self.made[-1]

    def connect(self) -> Told:
        self.gate.hold("connect")
        return self.opened()

    def check(self, c: Told) -> bool:
        self.gate.hold("check")
        return True

    def reset(self, c: Told) -> None:
        self.gate.hold("reset")

    async def aconnect(self) -> Told:
        await self.gate.ahold("connect")
        return self.opened()

    async def acheck(self, c: Told) -> bool:
        await self.gate.ahold("check")
        return True

    async def areset(self, c: Told) -> None:
        await self.gate.ahold("reset")

    def whole(self) -> bool:
        """Whether no lease, connect or wait is under way, and all open connections are the pool's."""
        s = self.pool.stats()
        still = (s.leased, s.connecting, s.waiting) == (0, 0, 0) and not in_hand(self.pool)
        return still and sum(not c.closed for c in self.made) == len(self.pool)


Within = Callable[[], Awaitable[object]]


async def block(pool: Any, within: Within) -> None:
    """``async with pool.connection()``."""
    async with pool.connection() as c:
        c.use()
        try:
            await within()
        finally:
            c.leave()


async def aconnection(pool: Any, within: Within) -> None:
    """``async with pool.aconnection()`` on a synchronous pool."""
    async with pool.aconnection() as c:
        c.use()
        try:
            await within()
        finally:
            c.leave()


async def by_hand(pool: Any, within: Within) -> None:
    """``await pool.checkout()``, and ``checkin`` in any case."""
    c = await pool.checkout()
    try:
        c.use()
        try:
            await within()
        finally:
            c.leave()
    finally:
        pool.checkin(c)


WAYS: dict[str, tuple[Callable[[Any, Within], Any], type[fastpool.Pool]]] = {
    "AsyncPool.connection": (block, fastpool.AsyncPool),
    "AsyncPool.checkout": (by_hand, fastpool.AsyncPool),
    "Pool.aconnection": (aconnection, fastpool.Pool),
}


class Cancelled:
    """A task that runs ``work``; `strike` cancels it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work
        self.task = asyncio.create_task(self.live())

    async def live(self) -> None:
        await self.work()

    def strike(self) -> None:
        self.task.cancel()

    async def end(self) -> bool:
        """Wait for its end; True if it was not cancelled."""
        try:
            await self.task
        except NOT_SERVED:
            return False
        return True


class ByTimeout(Cancelled):
    """``asyncio.timeout``."""

    async def live(self) -> None:
        async with asyncio.timeout(None) as self.limit:
            await self.work()

    def strike(self) -> None:
        self.limit.reschedule(asyncio.get_running_loop().time())


class ByWaitFor(Cancelled):
    """``asyncio.wait_for`` that times out: for asyncio the loop's clock is moved, for uvloop the time has to pass."""

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        self.movable = isinstance(loop, asyncio.BaseEventLoop)
        seconds = 1000.0 if self.movable else 0.3
        self.over = loop.time() + seconds
        try:
            await asyncio.wait_for(self.work(), seconds)
        finally:
            if self.movable:
                vars(loop).pop("time", None)

    def strike(self) -> None:
        loop: Any = asyncio.get_running_loop()
        if self.movable:
            loop.time = lambda: time.monotonic() + 1000
        while loop.time() < self.over:
            pass


class ByTaskGroup(Cancelled):
    """Another task of its TaskGroup fails."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.failing = asyncio.Event()
        super().__init__(work)

    async def live(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.work())
            await self.failing.wait()
            raise ValueError("mine")

    def strike(self) -> None:
        self.failing.set()


STRIKES: dict[str, type[Cancelled]] = {
    "cancel": Cancelled,
    "timeout": ByTimeout,
    "wait_for": ByWaitFor,
    "TaskGroup": ByTaskGroup,
}
EVERY_WAY = pytest.mark.parametrize("way", WAYS)
EVERY_STRIKE = pytest.mark.parametrize(
    ("strike", "loop"),
    [
        pytest.param(strike, loop, marks=pytest.mark.stress if (strike, loop) == ("wait_for", "uvloop") else ())
        for strike in STRIKES
        for loop in LOOPS
    ],
)
