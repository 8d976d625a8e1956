"""Time limits of tasks, of close() and of the keeper: none is exceeded, and none of them waits for itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

import fastpool

from ._told import ToldByLoop, eventually, soon


def in_time(main: Callable[[], Awaitable[None]], seconds: float = 10.0) -> None:
    """Run it in a new loop; TimeoutError if it hangs."""
    asyncio.run(asyncio.wait_for(main(), seconds))  # type: ignore[arg-type]


async def for_ever(*args: Any) -> Any:
    await asyncio.Event().wait()


async def refuse() -> Any:
    raise ConnectionRefusedError("not now")


def connecting_by(hook: list[Callable[[], Awaitable[Any]]]) -> Callable[[], Awaitable[ToldByLoop]]:
    """A connect that first awaits the hook that is set at that time."""

    async def connect() -> ToldByLoop:
        for one in hook:
            await one()
        return await ToldByLoop.open()

    return connect


@pytest.mark.parametrize("call", ["close", "reset"])
def test_a_pool_that_its_own_driver_closes(call: str) -> None:
    """The task that closes the pool is one that close() would wait for."""

    async def end(c: Any) -> None:
        await pool.close()

    pool = fastpool.AsyncPool(ToldByLoop.open, **{"close": ToldByLoop.aclose, call: end})

    async def main() -> None:
        async with pool.connection(), pool.connection():
            pass
        await pool.close()
        assert len(pool) == 0

    in_time(main)


@pytest.mark.parametrize("timeout", [0.05, None])
def test_close_does_not_wait_for_ever_for_a_close_that_hangs(
    timeout: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastpool._async.pool.CLOSES_S", 0.1 if timeout is None else 60.0)

    async def main() -> None:
        pool = fastpool.AsyncPool(ToldByLoop.open, close=for_ever)
        async with pool.connection():
            pass
        await pool.close(timeout=timeout)
        assert len(pool) == 0

    in_time(main)


def test_a_close_that_is_cancelled_has_closed_the_pool_and_said_so() -> None:
    async def main() -> None:
        told: list[Any] = []
        pool = fastpool.AsyncPool(ToldByLoop.open, min_size=1, listeners=[{"pool_closed": told.append}])
        c = await pool.checkout()
        closing = asyncio.create_task(pool.close(timeout=30))
        assert await soon(lambda: pool.closed)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert len(told) == 1
        pool.checkin(c)
        await pool.close()
        assert len(told) == 1

    in_time(main)


def test_the_first_checkout_opens_the_minimum_in_its_own_time() -> None:
    async def main() -> None:
        pool = fastpool.AsyncPool(connecting_by([for_ever]), min_size=2)
        with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
            await pool.checkout(timeout=0.05)
        assert caught.value.phase == "connect"
        await pool.close()

    in_time(main)


@pytest.mark.parametrize("trouble", [for_ever, refuse])
def test_the_rest_of_the_minimum_does_not_spoil_a_first_checkout_that_has_its_own(trouble: Any) -> None:
    async def main() -> None:
        async def after_the_first() -> None:
            opened.append(1)
            if len(opened) > 1 and troubled:
                await trouble()

        opened, troubled = list[int](), [True]
        pool = fastpool.AsyncPool(connecting_by([after_the_first]), min_size=2, timeout=0.2, backoff=(0.01, 0.02))
        async with pool.connection():
            assert len(pool) == 1
        troubled.clear()
        assert await soon(lambda: len(pool) == 2)  # the keeper retries
        await pool.close()

    in_time(main)


def test_cancelled_while_it_opens_the_rest_of_the_minimum_its_own_goes_back() -> None:
    async def main() -> None:
        async def after_the_first() -> None:
            opened.append(1)
            if len(opened) == 2:
                hangs.set()
                await for_ever()

        opened, hangs = list[int](), asyncio.Event()
        pool = fastpool.AsyncPool(connecting_by([after_the_first]), min_size=2)
        first = asyncio.create_task(pool.checkout())
        await hangs.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        stats = pool.stats()
        assert (stats.leased, stats.idle) == (0, 1)
        await pool.close()

    in_time(main)


def test_a_minimum_that_was_refused_at_first_is_there_later() -> None:
    async def main() -> None:
        hook: list[Any] = [refuse]
        pool = fastpool.AsyncPool(connecting_by(hook), min_size=2, backoff=(0.01, 0.02))
        with pytest.raises(ConnectionRefusedError):
            await pool.checkout(timeout=1)
        hook.clear()
        assert await soon(lambda: len(pool) == 2)
        await pool.close()

    in_time(main)


def test_an_open_that_failed_may_be_repeated() -> None:
    async def main() -> None:
        hook: list[Any] = [refuse]
        pool = fastpool.AsyncPool(connecting_by(hook), min_size=2)
        with pytest.raises(ConnectionRefusedError):
            await pool.open()
        hook.clear()
        await pool.open()
        assert len(pool) == 2
        await pool.close()

    in_time(main)


def test_a_connect_that_hangs_does_not_keep_the_keeper_from_other_pools() -> None:
    async def main() -> None:
        hook: list[Any] = []
        hanging = fastpool.AsyncPool(connecting_by(hook), min_size=1)
        other = fastpool.AsyncPool(ToldByLoop.open, min_size=1)
        await hanging.open()
        await other.open()
        hook.append(for_ever)
        hanging.clear()
        assert await soon(lambda: hanging.stats().connecting == 1)
        other.clear()
        assert await soon(lambda: len(other) == 1, 5)
        await hanging.close(timeout=0)
        await other.close()

    in_time(main)


def test_a_server_that_hangs_is_left_alone_after_the_second_time() -> None:
    async def main() -> None:
        async def connect(server: tuple[str, int]) -> ToldByLoop:
            if server[0] == "hangs":
                await for_ever()
            return await ToldByLoop.open()

        told: list[str] = []
        pool = fastpool.AsyncPool(
            connect,
            servers=["hangs:1", "serves:1"],
            backoff=(60, 60),
            listeners=[{name: lambda e: told.append(e.name) for name in ("connect_failed", "server_down")}],
        )
        pool.connector.health._rng = SimpleNamespace(random=lambda: 1.0)  # type: ignore[assignment]
        failed = 0
        for _ in range(12):
            lease = pool.connection(timeout=0.03)
            try:
                async with lease:
                    lease.discard()
            except fastpool.NoConnectionsAvailable:
                failed += 1
        assert failed == 2
        assert sorted(told) == ["connect_failed", "connect_failed", "server_down"]
        assert pool.stats().connect_errors == 2
        await pool.close()

    in_time(main)


@pytest.mark.parametrize("what", ["connect", "check"])
def test_a_task_does_not_wait_for_a_thread_beyond_its_time(what: str) -> None:
    """A driver call that runs in a thread for a synchronous pool goes on there, and its result is kept."""
    go, made, hangs = threading.Event(), list[ToldByLoop](), ["connect"] * (what == "connect")

    def wait() -> bool:
        return not hangs or go.wait(20)

    def connect() -> ToldByLoop:
        wait()
        made.append(ToldByLoop())
        return made[-1]

    def check(c: ToldByLoop) -> bool:
        return wait()

    async def main() -> None:
        if what == "check":
            async with pool.aconnection():
                hangs.append("check")
        for phase in (what, "wait"):  # the second task finds that the thread still has the slot
            with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
                async with pool.aconnection(timeout=0.05):
                    raise AssertionError
            assert caught.value.phase == phase
            assert pool.stats().connecting == (what == "connect")
        go.set()
        assert await soon(lambda: pool.stats().idle == 1)
        async with pool.aconnection() as c:
            assert [c] == made and not c.closed

    pool = fastpool.Pool(connect, check=check, check_after=0, max_size=1)
    in_time(main)
    assert pool.stats().connect_errors == 0
    pool.close()


@pytest.mark.parametrize("verdict", [True, False])
def test_a_connection_is_not_closed_while_a_thread_checks_it(verdict: bool) -> None:
    """The cancelled task returns at once; if the connection were closed, another socket could get its descriptor at
    once."""
    checking, go, seen = threading.Event(), threading.Event(), list[bool]()

    def check(c: ToldByLoop) -> bool:
        checking.set()
        assert go.wait(20)
        seen.append(c.closed)
        return verdict

    async def use() -> None:
        async with pool.aconnection() as c:
            made.append(c)

    async def main() -> None:
        await use()
        task = asyncio.create_task(use())
        assert await soon(checking.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        next_one = asyncio.create_task(use())  # it waits in line, because the thread has the slot
        assert await soon(lambda: pool.stats().waiting == 1)
        go.set()
        await next_one
        assert (made[1] is made[0]) is verdict and await soon(lambda: made[0].closed is not verdict)
        assert seen == [False] * (1 + verdict)
        assert pool.stats().closed["dead"] == (not verdict)

    made: list[ToldByLoop] = []
    pool = fastpool.Pool(ToldByLoop, check=check, check_after=0, max_size=1)
    in_time(main)
    pool.close()


def test_a_dead_connection_whose_close_hangs_holds_up_no_task() -> None:
    go = threading.Event()

    async def main() -> None:
        async with pool.aconnection():
            pass
        async with pool.aconnection(timeout=5):
            assert not go.is_set()
        go.set()  # asyncio.run waits for its threads

    pool = fastpool.Pool(ToldByLoop, check=lambda c: False, close=lambda c: go.wait(20), check_after=0, max_size=1)
    late = threading.Timer(8, go.set)
    late.start()
    try:
        in_time(main)
    finally:
        go.set()
        late.cancel()
    pool.close()


def test_what_a_thread_opened_for_a_loop_that_was_closed_is_kept() -> None:
    connecting, go, made = threading.Event(), threading.Event(), list[ToldByLoop]()

    def connect() -> ToldByLoop:
        connecting.set()
        assert go.wait(20)
        made.append(ToldByLoop())
        return made[0]

    async def use() -> None:
        async with pool.aconnection():
            raise AssertionError

    async def main() -> None:
        kept.append(loop.create_task(use()))
        assert await soon(connecting.is_set)

    kept: list[Any] = []
    pool = fastpool.Pool(connect, max_size=1)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    loop.run_until_complete(main())
    loop.close()
    go.set()
    assert eventually(lambda: pool.stats().idle == 1)
    with pool.connection(timeout=0) as c:
        assert [c] == made and not c.closed
    kept.clear()
    pool.close()


@pytest.mark.parametrize("call", ["check", "reset"])
def test_a_cancellation_that_is_the_drivers_own_is_its_failure_and_not_the_callers(call: str) -> None:
    """For example a stream's reader that was cancelled because the connection broke."""

    async def broken(c: Any) -> Any:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def main() -> None:
        pool = fastpool.AsyncPool(ToldByLoop.open, close=ToldByLoop.aclose, check_after=0, **{call: broken})
        async with pool.connection() as c:
            pass
        async with pool.connection() as other:
            assert other is not c
        await pool.close()
        assert c.closed

    in_time(main)


def test_cleared_while_it_is_checked_a_connection_is_replaced() -> None:
    async def main() -> None:
        checking, go = asyncio.Event(), asyncio.Event()

        async def check(c: Any) -> bool:
            checking.set()
            await go.wait()
            return True

        async def use() -> Any:
            async with pool.connection() as c:
                return c

        pool = fastpool.AsyncPool(ToldByLoop.open, check=check, check_after=0, max_size=1)
        before = await use()
        task = asyncio.create_task(use())
        await checking.wait()
        pool.clear()
        go.set()
        assert await task is not before
        assert pool.stats().closed["cleared"] == 1
        await pool.close()

    in_time(main)


def test_a_coroutine_function_is_no_listener() -> None:
    async def hear(event: Any) -> None: ...

    with pytest.raises(TypeError, match=r"listeners: connected .* is a coroutine function"):
        fastpool.AsyncPool(ToldByLoop.open, listeners=[{"connected": hear}])
