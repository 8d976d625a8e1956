"""One way to use the threads' pools and the tasks' pools, so that a scenario is written once and played on both."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import psycopg

from fastpool.adapters import psycopg as ours

IDLE, INTRANS, INERROR = (psycopg.pq.TransactionStatus[name] for name in ("IDLE", "INTRANS", "INERROR"))
PATIENCE_S = 30.0


class Threads:
    """The synchronous pools, used as they are."""

    kept, null = ours.ConnectionPool, ours.NullConnectionPool
    connection_class: Any = psycopg.Connection
    exit_name = "__exit__"
    implicit_warning: type[Warning] = DeprecationWarning

    def run(self, result: Any) -> Any:
        """Give the result of a call."""
        return result

    def wrapped(self, function: Callable[[Plain], Any]) -> Any:
        """Give a callback that a pool can call, from a function of a connection."""
        return lambda conn: function(Plain(self, conn))

    @contextlib.contextmanager
    def opened(self, kind: Any, *args: Any, **given: Any) -> Iterator[Any]:
        """A pool of this class, opened, and closed at the end."""
        with kind(*args, **given) as pool:
            yield pool

    @contextlib.contextmanager
    def block(self, pool: Any, **given: Any) -> Iterator[Plain]:
        """A block of the pool's, with its connection."""
        with pool.connection(**given) as conn:
            yield Plain(self, conn)

    def end(self) -> None:
        """Nothing is left."""


class Tasks(Threads):
    """The awaited pools, used from threads by way of a loop in another thread."""

    kept, null = ours.AsyncConnectionPool, ours.AsyncNullConnectionPool  # type: ignore[assignment]
    connection_class = psycopg.AsyncConnection
    exit_name = "__aexit__"
    implicit_warning = RuntimeWarning

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, result: Any) -> Any:
        """Await a coroutine in the loop, and give its result."""
        if not hasattr(result, "__await__"):
            return result

        async def awaited() -> Any:
            return await result

        future = asyncio.run_coroutine_threadsafe(awaited(), self.loop)
        try:
            return future.result(PATIENCE_S)
        except TimeoutError:
            future.cancel()
            raise

    def wrapped(self, function: Callable[[Plain], Any]) -> Any:
        """Give a coroutine function that runs `function` in a thread, in which it may wait for the loop."""

        async def call(conn: Any) -> None:
            await asyncio.to_thread(function, Plain(self, conn))

        return call

    @contextlib.contextmanager
    def opened(self, kind: Any, *args: Any, **given: Any) -> Iterator[Any]:
        """A pool of this class, opened, and closed at the end."""
        pool = kind(*args, open=False, **given)
        self.run(pool.__aenter__())
        try:
            yield pool
        finally:
            self.run(pool.__aexit__(None, None, None))

    @contextlib.contextmanager
    def block(self, pool: Any, **given: Any) -> Iterator[Plain]:
        """A block of the pool's, with its connection: a task that waits inside of it."""
        entered: Future[Any] = Future()
        leave = asyncio.Event()
        errors: list[BaseException] = []

        async def hold() -> None:
            async with pool.connection(**given) as conn:
                entered.set_result(conn)
                await leave.wait()
                if errors:
                    raise errors[0]

        holding = asyncio.run_coroutine_threadsafe(hold(), self.loop)
        holding.add_done_callback(lambda done: entered.done() or entered.set_exception(failure_of(done)))
        conn = entered.result(PATIENCE_S)
        try:
            yield Plain(self, conn)
        except BaseException as error:
            errors.append(error)
        self.loop.call_soon_threadsafe(leave.set)
        holding.result(PATIENCE_S)

    def end(self) -> None:
        """End the loop as asyncio.run() does: tasks are cancelled, threads of callbacks are waited for."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self._runner.close()


def failure_of(done: Future[Any]) -> BaseException:
    """The exception of a future that is done."""
    error = None if done.cancelled() else done.exception()
    return error or RuntimeError("the block ended before it began")


class Plain:
    """A connection of either kind, with methods that return when they are done."""

    def __init__(self, way: Threads, conn: Any) -> None:
        self.way, self.conn = way, conn

    def execute(self, query: str) -> Any:
        """Execute, and give all rows if there are any."""
        cursor = self.way.run(self.conn.execute(query))
        return self.way.run(cursor.fetchall()) if cursor.description else None

    def close(self) -> None:
        """Close it."""
        self.way.run(self.conn.close())

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        return self.conn.info.backend_pid  # type: ignore[no-any-return]

    @property
    def status(self) -> Any:
        """The state of its transaction."""
        return self.conn.info.transaction_status


def until(happens: Callable[[], Any], seconds: float = PATIENCE_S) -> None:
    """Wait until `happens()` is true; fail if it does not become true."""
    tick = threading.Event()
    for _ in range(int(seconds / 0.005)):
        if happens():
            return
        tick.wait(0.005)
    raise AssertionError("it did not happen in time")


def in_thread(function: Callable[[], Any]) -> Future[Any]:
    """Call in a thread of its own; the future of its result."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future
