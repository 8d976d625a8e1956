"""The driver and the actors of a scenario: the scenario decides what each driver call does; the actors use the pool.

The same actors play as threads on a Pool and as tasks of one event loop on an AsyncPool: their actions are coroutines,
which a thread runs to the end without suspending.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import queue
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import fastpool
from tests.conformance._language import ERRORS, STAGES
from tests.pool.fake_driver import PATIENCE, Abort, Connection, Failure

acting: contextvars.ContextVar[str] = contextvars.ContextVar("acting", default="keeper")
PATIENT = ("closes", "warms")  # actions that may take time without standing in line
RAISES: dict[str, type[BaseException]] = {"fails": Failure, "aborts": Abort, "is interrupted": KeyboardInterrupt}


class Wire(Connection):
    """A connection with a descriptor, whose other end the scenario controls."""

    def __init__(self, number: int, server: Any) -> None:
        super().__init__(number, server)
        self.near, self.far = socket.socketpair()

    def fileno(self) -> int:
        return self.near.fileno()


class Call:
    """A call of the driver that is held until the scenario decides its outcome."""

    def __init__(self, stage: str) -> None:
        self.stage, self.who = stage, acting.get()
        self.outcome = "works"
        self.go = threading.Event()
        self.loop = asyncio._get_running_loop()
        self.woken: asyncio.Event | None = None if self.loop is None else asyncio.Event()

    def release(self, outcome: str) -> None:
        self.outcome = outcome
        self.go.set()
        if self.loop is not None and self.woken is not None:
            self.loop.call_soon_threadsafe(self.woken.set)


class Director:
    """Decides the outcome of the driver's calls, counts them, and knows which are held."""

    def __init__(self) -> None:
        self.cues = dict.fromkeys(STAGES, "works")
        self.calls: Counter[str] = Counter()
        self.held: list[Call] = []
        self.made: list[Connection] = []
        self.refusing: set[Any] = set()
        self.time_left: list[float | None] = []
        self._lock = threading.Lock()

    def begin(self, stage: str) -> Call | None:
        """Begin a call; the returned Call, if any, must be waited for."""
        with self._lock:
            self.calls[stage] += 1
            if self.cues[stage] == "is held":
                self.held.append(Call(stage))
                return self.held[-1]
            return None

    def outcome(self, stage: str, call: Call | None) -> bool:
        """The outcome of a call: raises, or says whether it works."""
        if call is not None:
            with self._lock:
                self.held.remove(call)
        outcome = self.cues[stage] if call is None else call.outcome
        if outcome in RAISES:
            raise RAISES[outcome](f"{stage} {outcome}, as told")
        return outcome != "says no"

    def act(self, stage: str) -> bool:
        call = self.begin(stage)
        assert call is None or call.go.wait(PATIENCE), "held for too long"
        return self.outcome(stage, call)

    async def aact(self, stage: str) -> bool:
        call = self.begin(stage)
        try:
            if call is not None and call.woken is not None:
                await call.woken.wait()
        except BaseException:  # cancelled
            self.held.remove(call)  # type: ignore[arg-type]
            raise
        return self.outcome(stage, call)

    def connection(self, kind: type[Connection], server: Any) -> Connection:
        if server in self.refusing:
            raise Failure(f"{server} refuses")
        with self._lock:
            self.made.append(kind(len(self.made) + 1, server))
            return self.made[-1]


class _Driver(fastpool.Driver):
    kind = Connection

    def __init__(self, director: Director) -> None:
        self.director = director

    def usable(self, c: Any, exc: BaseException) -> bool:
        return isinstance(exc, LookupError)


class ThreadDriver(_Driver):
    """A driver whose calls block."""

    def connect(self, server: Any, timeout: float | None) -> Any:
        self.director.time_left.append(timeout)
        self.director.act("connect")
        return self.director.connection(self.kind, server)

    def close(self, c: Any) -> None:
        c.closes += 1
        self.director.act("close")


class CheckingThreadDriver(ThreadDriver):
    """Adds check and reset."""

    def check(self, c: Any, timeout: float | None) -> bool:
        self.director.time_left.append(timeout)
        return self.director.act("check") and not c.dead

    def reset(self, c: Any) -> None:
        self.director.act("reset")


class WiredThreadDriver(ThreadDriver):
    """Adds descriptors."""

    kind = Wire


class TaskDriver(_Driver):
    """A driver whose calls are coroutines."""

    async def connect(self, server: Any, timeout: float | None) -> Any:
        self.director.time_left.append(timeout)
        await self.director.aact("connect")
        return self.director.connection(self.kind, server)

    async def close(self, c: Any) -> None:
        c.closes += 1
        await self.director.aact("close")


class CheckingTaskDriver(TaskDriver):
    """Adds check and reset."""

    async def check(self, c: Any, timeout: float | None) -> bool:  # type: ignore[override]
        self.director.time_left.append(timeout)
        return await self.director.aact("check") and not c.dead

    async def reset(self, c: Any) -> None:
        await self.director.aact("reset")


class WiredTaskDriver(TaskDriver):
    """Adds descriptors."""

    kind = Wire


DRIVERS = {
    ("threads", "plain"): ThreadDriver,
    ("threads", "checked"): CheckingThreadDriver,
    ("threads", "sockets"): WiredThreadDriver,
    ("tasks", "plain"): TaskDriver,
    ("tasks", "checked"): CheckingTaskDriver,
    ("tasks", "sockets"): WiredTaskDriver,
}


async def _it(result: Any) -> Any:
    """The value that a Pool returns, or the result of what an AsyncPool returns to await."""
    return await result if isinstance(result, Coroutine) else result


class Actor:
    """A user of the pool: does one action at a time, and remembers how the last one ended."""

    def __init__(self, name: str, pool: Any, now: Callable[[], float]) -> None:
        self.name, self.pool, self._now = name, pool, now
        self.leases: list[Any] = []
        self.connections: list[Connection] = []
        self.returned: Any = None
        self.verb = ""
        self.busy = False
        self.began = self.ended = 0.0
        self.limit: float | None = None
        self.gave: Any = None
        self.error: BaseException | None = None

    def begin(self, verb: str, how: dict[str, Any]) -> None:
        """Begin the action in the actor's own thread or task."""
        assert not self.busy, f"{self.name} is busy: {self.verb}"
        self.verb, self.began, self.gave, self.error = verb, self._now(), None, None
        timeout = how.get("timeout", None if verb in PATIENT else self.pool.config.timeout)
        self.limit = None if timeout is None else self.began + timeout
        self.busy = True
        self.send((verb.replace(" ", "_"), how))

    def send(self, what: tuple[str, dict[str, Any]] | None) -> None:
        raise NotImplementedError

    def is_gone(self) -> bool:
        """Whether the actor's thread or task has ended after None was sent to it."""
        raise NotImplementedError

    async def _do(self, verb: str, how: dict[str, Any]) -> None:
        try:
            self.gave = await getattr(self, verb)(**how)
        except BaseException as error:
            self.error = error.with_traceback(None)
        self.ended = self._now()
        self.busy = False

    def _has(self, c: Connection) -> None:
        c.holders += 1
        self.connections.append(c)
        assert c.holders == 1, f"{c} is in two hands"
        assert not c.closes, f"{c} was closed before it was given out"

    def _had(self, c: Connection) -> None:
        c.holders -= 1
        self.connections.remove(c)

    # ---- the actions of an actor

    async def asks(self, **how: Any) -> None:
        lease = self.pool.connection(**how)
        c = await lease.__aenter__() if hasattr(lease, "__aenter__") else lease.__enter__()
        self.leases.append(lease)
        self._has(c)

    async def leaves(self, raising: str | None = None, discarding: bool = False) -> None:
        lease = self.leases.pop()
        if discarding:
            lease.discard()
        self._had(self.connections[-1])
        leave = lease.__aexit__ if hasattr(lease, "__aexit__") else lease.__exit__
        if raising is None:
            await _it(leave(None, None, None))
            return
        try:
            raise ERRORS[raising]("as told")
        except BaseException as error:
            await _it(leave(type(error), error, error.__traceback__))
            raise

    async def asks_and_leaves(self, **how: Any) -> None:
        await self.asks(**how)
        await self.leaves()

    async def checks_out(self, **how: Any) -> None:
        self._has(await _it(self.pool.checkout(**how)))

    async def checks_in(self, **how: Any) -> None:
        self.returned = c = self.connections[-1]
        self._had(c)
        self.pool.checkin(c, **how)

    async def goes_home(self) -> None:
        while self.leases:
            await self.leaves()
        while self.connections:
            await self.checks_in()

    async def checks_in_again(self) -> None:
        self.pool.checkin(self.returned)

    async def checks_in_a_stranger(self) -> None:
        self.pool.checkin(Connection(0, None))

    async def loses_it(self) -> None:
        self._had(self.connections[-1])
        self.leases.pop()
        gc.collect()

    async def opens(self) -> None:
        await _it(self.pool.open())

    async def closes(self, **how: Any) -> None:
        await _it(self.pool.close(**how))

    async def clears(self) -> None:
        self.pool.clear()

    async def warms(self, **how: Any) -> int:
        gave: int = await _it(self.pool.warm(**how))
        return gave

    async def resizes(self, **how: Any) -> None:
        self.pool.resize(**how)


class ThreadActor(Actor):
    """Runs the actions in its own thread."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._play, name=self.name, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        acting.set(self.name)
        while (what := self._orders.get()) is not None:
            try:
                self._do(*what).send(None)
            except StopIteration:
                continue

    def send(self, what: tuple[str, dict[str, Any]] | None) -> None:
        self._orders.put(what)

    def is_gone(self) -> bool:
        return not self._thread.is_alive()


class TaskActor(Actor):
    """Runs all actions in one task, because a task owns what it leased."""

    def __init__(self, name: str, pool: Any, now: Callable[[], float], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name, pool, now)
        self._loop = loop
        self._orders: asyncio.Queue[Any] = asyncio.Queue()
        self._playing = asyncio.run_coroutine_threadsafe(self._play(), loop)

    async def _play(self) -> None:
        acting.set(self.name)
        asyncio.current_task().set_name(self.name)  # type: ignore[union-attr]
        while (what := await self._orders.get()) is not None:
            await self._do(*what)

    def send(self, what: tuple[str, dict[str, Any]] | None) -> None:
        self._loop.call_soon_threadsafe(self._orders.put_nowait, what)

    def is_gone(self) -> bool:
        return self._playing.done()
