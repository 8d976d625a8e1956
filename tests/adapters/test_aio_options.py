"""fastpool's own options with fastpool.aio.ConnectionPool: each has the same effect as in the other pools."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import pytest

pytest.importorskip("happybase")
from thriftpy2.transport import TTransportException

import fastpool
from fastpool._config import Config
from fastpool.testing import VirtualClock

from ._aio import WITHIN_S, Late, aio, ask, pool_to, run, whole_after
from ._scripted import Call, ScriptedServer, row


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    with VirtualClock() as clock:
        yield clock


@pytest.fixture
def server(plain_server: ScriptedServer) -> ScriptedServer:
    return plain_server


class Holders:
    """Tasks that hold a connection each until `release` is called."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.tasks: list[asyncio.Task[None]] = []
        self.go = asyncio.Event()

    async def hold(self, count: int) -> None:
        taken = asyncio.Semaphore(0)

        async def one() -> None:
            async with self.pool.connection(timeout=WITHIN_S):
                taken.release()
                await self.go.wait()

        self.tasks += [asyncio.create_task(one()) for _ in range(count)]
        for _ in range(count):
            await taken.acquire()

    async def release(self) -> None:
        self.go.set()
        await asyncio.gather(*self.tasks)


TESTED = {  # each option is tested below, or by the test named here
    *("min_size", "order", "max_overflow", "max_idle", "checkout_timeout", "max_waiting", "nested", "max_lifetime"),
    *("idle_timeout", "max_uses", "max_connecting", "servers", "balance", "backoff", "leak_after", "listeners"),
    *("open", "name", "timing", "reclaim", "collect_garbage"),
    "check_after",  # test_aio_wires.py::test_a_server_that_hung_up_is_noticed_before_the_block
    "check_timeout",  # test_aio_wires.py::test_a_server_that_does_not_answer_a_keepalive_is_given_up_by_its_limit
    "keepalive",  # test_aio_wires.py::test_keepalive_is_heard
    *("shared", "shared_max"),  # test_shared_option.py::test_aiohappybase
}


def test_every_option_has_a_test() -> None:
    assert {field.name for field in fields(Config)} - {"max_size", "timeout"} | {"checkout_timeout"} == TESTED


@pytest.mark.parametrize(
    "option",
    [{"min_size": 2}, {"check_after": -1}, {"checkout_timeout": -1}, {"balance": "x"}, {"servers": []}, {"name": ""}],
    ids=str,
)
def test_a_bad_option_is_told_at_once(option: dict[str, Any]) -> None:
    ((name, _),) = option.items()
    with pytest.raises(ValueError, match=name.removeprefix("checkout_")):
        aio.ConnectionPool(1, **option)


def test_min_size(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 3, min_size=2) as pool:
            assert len(pool) == server.connections(2) == 2
            async with pool.connection() as c:
                c.close()
            while len(pool) < 2:  # the keeper opens another
                await asyncio.sleep(0.002)

    run(main())


def test_check_timeout(server: ScriptedServer) -> None:
    silent = threading.Event()

    def script(call: Call) -> None:
        if call.name == "getTableNames":  # the keeper's check
            silent.wait(WITHIN_S)
        call.stream.send(call.stream.good(call))

    async def main() -> None:
        server.script = script
        async with pool_to(server, keepalive=0.02, check_timeout=0.05) as pool:
            await ask(pool)
            while not pool.stats().closed["dead"]:
                await asyncio.sleep(0.002)
            silent.set()
            assert await ask(pool) == row(b"k")

    run(main())


def test_order(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 2, order="fifo") as pool:
            two = [await pool.checkout(), await pool.checkout()]
            for c in two:
                pool.checkin(c)
            for expected in two * 2:
                async with pool.connection() as used:
                    assert used is expected

    run(main())


def test_max_overflow_and_max_idle(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 2, max_overflow=2, max_idle=1) as pool:
            holders = Holders(pool)
            await holders.hold(4)
            with pytest.raises(fastpool.NoConnectionsAvailable):
                await ask(pool, timeout=0)
            await holders.release()
            assert len(pool) == 1
            assert pool.stats().closed["overflow"] + pool.stats().closed["max_idle"] == 3

    run(main())


def test_checkout_timeout_and_max_waiting(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, checkout_timeout=0.05, max_waiting=1) as pool:
            holders = Holders(pool)
            await holders.hold(1)
            patient = asyncio.create_task(ask(pool, timeout=WITHIN_S))
            await asyncio.sleep(0)
            with pytest.raises(fastpool.PoolOverloaded):
                await asyncio.create_task(ask(pool))
            patient.cancel()
            await asyncio.wait([patient])
            with pytest.raises(aio.NoConnectionsAvailable) as caught:
                await asyncio.create_task(ask(pool))
            assert caught.value.phase == "wait" and caught.value.waited >= 0.04
            await holders.release()

    run(main())


def test_nested_can_be_turned_off(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 2, nested=False) as pool:
            async with pool.connection() as outer, pool.connection() as inner:
                assert inner is not outer
                with pytest.raises(aio.PoolDeadlock):
                    await ask(pool)

    run(main())


def test_max_uses(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, max_uses=2) as pool:
            for _ in range(5):
                await ask(pool)
            assert server.connections(3) == 3 and pool.stats().closed["max_uses"] == 2

    run(main())


@pytest.mark.parametrize(("option", "reason"), [("max_lifetime", "lifetime"), ("idle_timeout", "idle")])
def test_too_old_or_unused_for_too_long(server: ScriptedServer, clock: VirtualClock, option: str, reason: str) -> None:
    async def main() -> None:
        async with pool_to(server, **{option: 100}) as pool:
            await ask(pool)
            await asyncio.to_thread(clock.advance, 101)
            assert len(pool) == 0
            await ask(pool)
            assert pool.stats().closed[reason] == 1

    run(main())


def test_max_connecting(server: ScriptedServer) -> None:
    """By default as many connects run at once as the pool has slots; `max_connecting` limits them."""
    most = 0

    def count(event: Any) -> None:
        nonlocal most
        most = max(most, event.pool.stats().connecting)

    async def main() -> None:
        nonlocal most
        for options, expected in (({}, 4), ({"max_connecting": 1}, 1)):
            most = 0
            async with pool_to(server, 4, listeners=[{"connect_started": count}], **options) as pool:
                holders = Holders(pool)
                await holders.hold(4)
                await holders.release()
            assert most == expected

    run(main())


def test_servers_and_balance(server: ScriptedServer) -> None:
    second = ScriptedServer()
    both = [(server.host, server.port), f"{second.host}:{second.port}"]

    async def main() -> None:
        first, other = 0, 0
        for balance, ones, others in (("round_robin", 2, 2), ("least_leased", 2, 2), (lambda able, _: able[-1], 0, 4)):
            async with aio.ConnectionPool(4, host="nowhere.invalid", servers=both, balance=balance) as pool:
                holders = Holders(pool)
                for _ in range(4):
                    await holders.hold(1)
                first, other = first + ones, other + others
                assert (server.connections(first), second.connections(other)) == (first, other)
                await holders.release()
                async with pool.connection() as c:
                    assert c.port in (server.port, second.port) and await c.tables() == [b"t"]

    run(main())
    second.close()


def test_servers_that_refuse(server: ScriptedServer, closed_port: Callable[[], int]) -> None:
    gone = ("127.0.0.1", closed_port())

    async def main() -> None:
        async with aio.ConnectionPool(2, servers=[gone, (server.host, server.port)], backoff=(60, 60)) as pool:
            for _ in range(3):
                assert await ask(pool) == row(b"k"), "the other one serves"
        async with aio.ConnectionPool(1, servers=[gone, ("127.0.0.1", closed_port())]) as pool:
            for _ in range(2):
                with pytest.raises(fastpool.AllServersUnavailable) as caught:
                    await ask(pool)
                assert isinstance(caught.value.__cause__, TTransportException)
        async with aio.ConnectionPool(1, servers=[gone], backoff=(60, 60)) as pool:
            for _ in range(2):  # the second time without asking it
                with pytest.raises(TTransportException, match="Could not connect to"):
                    await ask(pool)

    run(main())


def test_leak_after(server: ScriptedServer, clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with pool_to(server, leak_after=100) as pool:
            async with pool.connection():
                await asyncio.to_thread(clock.advance, 101)
            assert pool.stats().leaks == 1

    run(main())
    assert "has been out for 101.0 s" in caplog.text and "test_aio_options" in caplog.text, "with the task's stack"


def test_listeners_name_and_timing(server: ScriptedServer) -> None:
    told: list[str] = []
    names = ("pool_opened", "connected", "checked_out", "checked_in", "closed_connection", "pool_closed")
    listener = {name: lambda event, name=name: told.append((name, event.pool.name)) for name in names}

    async def main() -> None:
        async with pool_to(server, listeners=[listener], name="hbase", timing=True, open=False) as pool:
            await ask(pool)
            stats = pool.stats()
            assert stats.name == "hbase" and stats.hold.count == 1

    run(main())
    assert told == [(name, "hbase") for name in names[:4]] + [("closed_connection", "hbase"), ("pool_closed", "hbase")]


@pytest.mark.parametrize("collect_garbage", [False, True])
def test_collect_garbage(server: ScriptedServer, clock: VirtualClock, collect_garbage: bool) -> None:
    async def hold(pool: Any) -> None:
        cycle: list[Any] = [pool.connection()]
        cycle.append(cycle)
        await cycle[0].__aenter__()

    async def main() -> None:
        async with pool_to(server, collect_garbage=collect_garbage) as pool:
            gc.disable()
            try:
                await asyncio.create_task(hold(pool))
                if collect_garbage:
                    assert await ask(pool, timeout=0) == row(b"k")
                else:
                    with pytest.raises(fastpool.NoConnectionsAvailable):
                        await ask(pool, timeout=0)
            finally:
                gc.enable()
            gc.collect()
            assert await ask(pool) == row(b"k") and pool.stats().leaks == 1

    run(main())


@pytest.mark.parametrize("reclaim", [False, True])
def test_reclaim(server: ScriptedServer, reclaim: bool) -> None:
    async def main() -> None:
        async with pool_to(server, reclaim=reclaim) as pool:
            await pool.connection().__aenter__()  # nothing refers to the lease any more
            if reclaim:
                assert await ask(pool) == row(b"k")
            assert pool.stats().leased == (0 if reclaim else 1)

    run(main())


def test_by_hand(server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(server, "discarded") as pool:
            c = await pool.checkout(timeout=WITHIN_S)
            pool.checkin(c)
            with pytest.raises(fastpool.LeaseError):
                pool.checkin(c)
            with pytest.raises(fastpool.LeaseError):
                pool.checkin(object())
            assert await pool.checkout() is c
            pool.checkin(c, discard=True)

    run(main())


def test_a_lease_can_be_discarded(server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(server, "discarded") as pool:
            lease = pool.connection()
            async with lease:
                lease.discard()

    run(main())


def test_pickles_as_its_configuration_only(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, name="pickled") as pool:
            assert pickle.loads(pickle.dumps(pool)) is pool

    run(main())


def test_a_waiter_of_a_pool_that_is_closed(server: ScriptedServer) -> None:
    async def main() -> None:
        pool = pool_to(server)
        server.script = late = Late(b"mine")
        holder = asyncio.create_task(ask(pool, b"mine"))
        assert await asyncio.to_thread(late.arrived.wait, WITHIN_S)
        waiting = asyncio.create_task(ask(pool))
        await asyncio.sleep(0)
        pool.close()
        with pytest.raises(fastpool.PoolClosed):
            await waiting
        late.go.set()
        assert await holder == row(b"mine")
        assert len(pool) == 0

    run(main())
