"""A scenario run without some private structures of other projects: ``_compat_program.py MODEL NAME…`` prints "well".

Blocks are nested; waits in line are served, time out and are interrupted, in the threads, greenlets or tasks of MODEL.
At the end the program prints which of the private structures were in use.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import fastpool
from fastpool import _core
from fastpool._core.greenlets import sleeper_here
from tests.concurrency._green import Eventlet, Gevent

PATIENCE = 20.0
End = Callable[[], Any]  # waits for the end of what was started, and raises what it raised


class Thing:
    """A connection with no methods."""


def until(holds: Callable[[], Any], sleep: Callable[[float], object] = time.sleep) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        sleep(0.001)


def rested(pool: fastpool.Pool) -> None:
    stats = pool.stats()
    assert (stats.leased, stats.connecting, stats.waiting) == (0, 0, 0) and stats.idle == len(pool), pool


def thread(call: Callable[[], Any]) -> End:
    """Run it in a new thread; returns a function that waits for its end."""
    outcome: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
            outcome.append(None)
        except BaseException as error:
            outcome.append(error)

    one = threading.Thread(target=run)
    one.start()

    def end() -> None:
        one.join(PATIENCE)
        assert outcome, "the thread has not ended"
        if outcome[0] is not None:
            raise outcome[0]

    return end


def deep(levels: int, call: Callable[[], Any]) -> Any:
    """Call it below so many frames that they take more than one chunk of the interpreter's stack."""
    return deep(levels - 1, call) if levels else call()


def nested(pool: fastpool.Pool, meet: Callable[[Any], object]) -> None:
    """Blocks of one caller share a connection; those of another do not."""

    def share() -> Any:
        with pool.connection() as inner:
            return inner

    with pool.connection() as outer:
        assert share() is outer and deep(300, share) is outer
        meet(outer)
        assert share() is outer and deep(300, share) is outer


def each_has_its_own(pool: fastpool.Pool, spawn: Callable[..., End], sleep: Callable[[float], object]) -> None:
    inside: list[Any] = []

    def meet(c: Any) -> None:
        inside.append(c)
        until(lambda: len(inside) == 2, sleep)

    for end in [spawn(lambda: nested(pool, meet)) for _ in range(2)]:
        end()
    assert inside[0] is not inside[1], "two callers share a connection"
    rested(pool)


def served_in_line(pool: fastpool.Pool, spawns: list[Callable[..., End]], sleep: Callable[[float], object]) -> None:
    order: list[int] = []

    def wait(number: int) -> None:
        with pool.connection():
            order.append(number)

    held = [pool.checkout() for _ in range(2)]
    ends = []
    for number, spawn in enumerate(spawns):
        ends.append(spawn(lambda number=number: wait(number)))
        until(lambda: pool.stats().waiting == len(ends), sleep)
    pool.checkin(held.pop())
    for end in ends:
        end()
    assert order == list(range(len(spawns)))
    try:
        pool.checkout(timeout=0.02), pool.checkout(timeout=0.02)
        raise AssertionError("two of one")
    except fastpool.NoConnectionsAvailable:
        pass
    pool.checkin(held.pop())


def interrupted(wait: Callable[[fastpool.Pool], object]) -> None:
    """Ctrl-C ends the main thread's wait."""
    pool = fastpool.Pool(Thing, max_size=1)
    held = pool.checkout()

    def strike() -> None:
        until(lambda: pool.stats().waiting == 1)
        os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    end = thread(strike)
    began = time.monotonic()
    try:
        wait(pool)
        raise AssertionError("nobody gave anything back")
    except KeyboardInterrupt:
        assert time.monotonic() - began < PATIENCE / 2
    end()
    pool.checkin(held)
    rested(pool)


def blocks(pool: fastpool.Pool) -> None:
    with pool.connection(timeout=None):
        raise AssertionError("nobody gave anything back")


# ---- the concurrency models


def in_threads() -> None:
    class Own(fastpool.Pool):
        pass

    assert ("connection" in Own.__dict__) is not _core.lacks("bare methods")
    pool = Own(Thing, max_size=2, timeout=PATIENCE, nested=True)
    each_has_its_own(pool, thread, time.sleep)
    served_in_line(pool, [thread, thread, thread], time.sleep)
    interrupted(blocks)
    kept()


def kept() -> None:
    """The keeper's thread is listed by `threading`, and a lease names its holder's thread."""
    closed: list[Any] = []
    short = fastpool.Pool(Thing, idle_timeout=0.02, close=closed.append)
    with short.connection():
        assert "MainThread" in short.leases()[0].owner, short.leases()
    until(lambda: closed)
    known = any(one.name.startswith("fastpool") for one in threading.enumerate())
    assert known is not _core.lacks("start of threads"), threading.enumerate()


def in_greenlets() -> None:
    """Raw greenlets, without a hub."""
    import greenlet

    pool = fastpool.Pool(Thing, max_size=2, timeout=PATIENCE, nested=True)
    main = greenlet.getcurrent()
    other = greenlet.greenlet(lambda: deep(300, lambda: nested(pool, main.switch)))

    def meet(mine: Any) -> None:
        assert other.switch() is not mine, "two greenlets share a connection"

    deep(300, lambda: nested(pool, meet))
    other.switch()
    assert other.dead
    served_in_line(pool, [thread, thread], time.sleep)
    interrupted(blocks)


def in_hub(library: Any) -> None:
    def spawn(call: Callable[[], Any]) -> End:
        one = library.spawn(call)
        return lambda: library.wait(one)

    pool = fastpool.Pool(Thing, max_size=2, timeout=PATIENCE, nested=True)
    each_has_its_own(pool, spawn, library.sleep)
    served_in_line(pool, [spawn, thread, spawn], library.sleep)
    interrupted(blocks)
    made: list[Any] = []
    thread(lambda: made.append(sleeper_here(_core.Core._thread_uid(), _core.thread_is_alive)))()
    assert (made != [None]) is (isinstance(library, Eventlet) and _core.lacks("eventlet's hub")), made
    if isinstance(library, Eventlet):
        suspended_for_ever(spawn, library.sleep)


def suspended_for_ever(spawn: Callable[..., End], sleep: Callable[[float], object]) -> None:
    """A greenlet's thread ends while the greenlet is in its block: its connection is replaced, if the end can be
    noticed."""
    pool = fastpool.Pool(Thing, max_size=1)
    ends: list[End] = []  # keeps the greenlet alive

    def hold() -> None:
        with pool.connection():
            sleep(PATIENCE)

    def begin() -> None:
        ends.append(spawn(hold))
        until(lambda: pool.stats().leased == 1, sleep)

    thread(begin)()
    try:
        pool.checkin(pool.checkout(timeout=0.02))
    except fastpool.NoConnectionsAvailable:
        pass  # the wait reports the leak when it times out
    assert pool.stats().leaks == 1
    assert pool.stats().leased == _core.lacks("eventlet's end")


def in_tasks() -> None:
    pool = fastpool.Pool(Thing, max_size=2, timeout=PATIENCE, nested=True)
    asyncio.run(tasks(pool, pool.aconnection))

    async def wait(pool: fastpool.Pool) -> None:
        async with pool.aconnection(timeout=None):
            raise AssertionError("nobody gave anything back")

    interrupted(lambda pool: asyncio.run(wait(pool)))


def in_tasks_of_an_async_pool() -> None:
    async def connect() -> Thing:
        return Thing()

    async def main() -> None:
        own: dict[str, Any] = {"close": lambda c: None, "reset": lambda c: None}
        pool = fastpool.AsyncPool(connect, max_size=2, timeout=PATIENCE, nested=True, **own)
        await tasks(pool, pool.connection)
        await pool.close()

    asyncio.run(main())


async def tasks(pool: fastpool.Pool, block: Callable[..., Any]) -> None:
    inside: list[Any] = []

    async def soon(holds: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.001)

    async def nest() -> None:
        async with block() as outer, block() as inner:
            assert inner is outer
            inside.append(outer)
            await soon(lambda: len(inside) == 2)

    await asyncio.gather(nest(), nest())
    assert inside[0] is not inside[1], "two tasks share a connection"

    order: list[int] = []
    go = asyncio.Event()

    async def hold() -> None:
        async with block():
            await go.wait()

    async def wait(number: int, timeout: float = PATIENCE) -> None:
        async with block(timeout=timeout):
            order.append(number)

    holders = [asyncio.ensure_future(hold()) for _ in range(2)]
    await soon(lambda: pool.stats().leased == 2)
    waiting = []
    for number in range(4):
        waiting.append(asyncio.ensure_future(wait(number)))
        await soon(lambda: pool.stats().waiting == len(waiting))
    waiting.pop(1).cancel()
    await soon(lambda: pool.stats().waiting == 3)
    try:
        await wait(9, 0.02)
        raise AssertionError("a third of two")
    except fastpool.NoConnectionsAvailable:
        pass
    go.set()
    await asyncio.gather(*waiting, *holders)
    assert order == [0, 2, 3]
    rested(pool)


MODELS: dict[str, Callable[[], None]] = {
    "threads": in_threads,
    "greenlets": in_greenlets,
    "gevent": lambda: in_hub(Gevent()),
    "eventlet": lambda: in_hub(Eventlet()),
    "tasks": in_tasks,
    "tasks of an AsyncPool": in_tasks_of_an_async_pool,
}

if __name__ == "__main__":
    model, *names = sys.argv[1:]
    _core.do_without(*names)
    MODELS[model]()
    print("well, with", ", ".join(sorted(_core.private_in_use())))
