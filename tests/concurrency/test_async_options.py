"""Options and methods of AsyncPool that no scenario of tests/conformance runs with tasks."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import gc
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import fastpool
from fastpool._config import Config
from fastpool.testing import VirtualClock
from tests.conformance._language import VERBS, scenarios

from ._told import Told, at_rest, soon

SERVERS = ["a:1", "b:2", "c:3"]


class Served(Told):
    """A connection that knows its server."""

    def __init__(self, server: Any) -> None:
        super().__init__()
        self.server = server


async def served(server: Any) -> Served:
    await asyncio.sleep(0)
    return Served(server)


async def all_of(pool: fastpool.AsyncPool, count: int) -> list[Any]:
    """That many connections, all checked out at once and then returned."""
    held = [await pool.checkout() for _ in range(count)]
    for c in held:
        pool.checkin(c)
    return held


@pytest.mark.parametrize("given", ["list", "callable"])
def test_servers_are_taken_in_turn(given: str) -> None:
    async def main() -> None:
        servers: Any = SERVERS if given == "list" else lambda: SERVERS
        async with fastpool.AsyncPool(served, servers=servers, max_size=6) as pool:
            held = await all_of(pool, 6)
            assert [c.server for c in held] == [("a", 1), ("b", 2), ("c", 3)] * 2

    asyncio.run(main())


def test_balance() -> None:
    def last(servers: Any, leased: Any) -> Any:
        seen.append(dict(leased))
        return servers[-1]

    seen: list[dict[Any, int]] = []

    async def main() -> None:
        async with fastpool.AsyncPool(served, servers=SERVERS, balance="least_leased", max_size=6) as pool:
            assert Counter(c.server for c in await all_of(pool, 6)) == {("a", 1): 2, ("b", 2): 2, ("c", 3): 2}
        async with fastpool.AsyncPool(served, servers=SERVERS, balance="random", max_size=60) as pool:
            assert len({c.server for c in await all_of(pool, 60)}) == 3
        async with fastpool.AsyncPool(served, servers=SERVERS, balance=last, max_size=2) as pool:
            assert [c.server for c in await all_of(pool, 2)] == [("c", 3)] * 2
            assert seen == [{}, {("c", 3): 1}]

    asyncio.run(main())


def test_a_server_that_refuses_is_left_alone_and_when_all_do_callers_are_told_at_once() -> None:
    refusing, asked = {("b", 2)}, Counter[Any]()

    async def connect(server: Any) -> Served:
        asked[server] += 1
        if server in refusing:
            raise ConnectionRefusedError(f"{server} refuses")
        return await served(server)

    async def main() -> None:
        pool = fastpool.AsyncPool(connect, servers=SERVERS, backoff=(60, 60), max_size=9)
        assert {c.server for c in await all_of(pool, 6)} == {("a", 1), ("c", 3)}
        assert asked["b", 2] == 1
        refusing.update([("a", 1), ("c", 3)])
        pool.clear("all of them")
        for _ in range(3):
            with pytest.raises(fastpool.AllServersUnavailable) as caught:
                await pool.checkout(timeout=None)
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)
        assert sum(asked.values()) <= 6 + 1 + 3
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("limit", [None, 5.0])
def test_connect_and_check_are_told_what_time_they_have(limit: float | None) -> None:
    left: list[float | None] = []

    async def connect(timeout: float | None) -> Told:
        left.append(timeout)
        return Told()

    async def check(c: Told, timeout: float | None) -> bool:
        left.append(timeout)
        return True

    async def main() -> None:
        options = {"check_after": 0, "check_timeout": limit, "max_size": 1, "timeout": 7}
        async with fastpool.AsyncPool(connect, check=check, **options) as pool:
            await all_of(pool, 1)
            await all_of(pool, 1)
            async with pool.connection(timeout=None):
                pass

    with VirtualClock():
        asyncio.run(main())
    assert left == [7, limit or 7, limit]


def test_keep_on_and_nothing_else_keeps_a_connection() -> None:
    async def connect() -> Told:
        return Told()

    async def main() -> None:
        async with fastpool.AsyncPool(connect, keep_on=(LookupError,), max_size=1) as pool:
            for error, kept in ((KeyError, True), (ValueError, False), (KeyboardInterrupt, False)):
                with pytest.raises(error):
                    async with pool.connection() as c:
                        raise error
                assert await soon(lambda c=c, kept=kept: c.closed is not kept and at_rest(pool))
            assert pool.stats().closed["error"] == 2

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        raise AssertionError("it came out of the block's own task") from None


def test_a_descriptor_that_the_other_side_closed_is_noticed() -> None:
    pairs: list[tuple[socket.socket, socket.socket]] = []

    async def connect() -> Any:
        pairs.append(socket.socketpair())
        return pairs[-1]

    async def main() -> None:
        async with fastpool.AsyncPool(
            connect, close=lambda c: c[0].close(), fileno=lambda c: c[0].fileno(), check_after=0, max_size=1
        ) as pool:
            (first,) = await all_of(pool, 1)
            first[1].close()
            (second,) = await all_of(pool, 1)
            assert second is not first
            second[1].send(b"late")
            (third,) = await all_of(pool, 1)
            assert third is not second
            assert pool.stats().closed["dead"] == pool.stats().closed["desync"] == 1

    asyncio.run(main())
    for near, far in pairs:
        near.close()
        far.close()


def test_leases_stats_and_repr() -> None:
    async def main() -> None:
        pool = fastpool.AsyncPool(served, servers=["a:1"], name="people", nested=True, timing=True, max_size=2)
        assert "people" in repr(pool) and len(pool) == 0 and pool

        async def hold() -> None:
            async with pool.connection(), pool.connection():
                inside.set()
                await leave.wait()

        inside, leave = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(hold(), name="holder of two")
        await inside.wait()
        (info,) = pool.leases()
        assert "holder of two" in info.owner and info.depth == 2 and info.server == ("a", 1)
        assert 0 <= info.age_s < 10 and not info.ended
        assert "hold" in "".join(info.stack()) and "leave.wait" in "".join(info.stack())
        assert repr(pool) == "<fastpool.AsyncPool 'people' 1 leased, 0 idle, 0 waiting, max 2>"
        async with pool.connection():
            with pytest.raises(fastpool.NoConnectionsAvailable) as caught:
                await asyncio.create_task(pool.checkout(timeout=0.01))
        assert "holder of two" in str(caught.value) and len(caught.value.holders) == 2
        leave.set()
        await task
        stats = pool.stats()
        assert stats.hold.count == stats.wait.count == 2 and stats.timeouts == 1
        await pool.close()

    asyncio.run(main())


@pytest.mark.parametrize("on", [False, True])
def test_reclaim_and_collect_garbage(on: bool) -> None:
    async def hold(pool: fastpool.AsyncPool) -> None:
        cycle: list[Any] = [pool.connection()]
        cycle.append(cycle)
        await cycle[0].__aenter__()

    async def main() -> None:
        async with fastpool.AsyncPool(Told, reclaim=on, collect_garbage=on, max_size=1) as pool:
            gc.disable()
            try:
                await asyncio.create_task(hold(pool))
                if on:
                    pool.checkin(await pool.checkout(timeout=0))
                else:
                    with pytest.raises(fastpool.NoConnectionsAvailable):
                        await pool.checkout(timeout=0)
            finally:
                gc.enable()
            gc.collect()
            assert pool.stats().leased == (0 if on else 1) and pool.stats().leaks == 1

    asyncio.run(main())


def test_the_keeper_opens_another_in_the_loop_of_those_that_are_open_and_resize_changes_how_many() -> None:
    async def connect() -> Told:
        return Told(asyncio.get_running_loop())

    async def main() -> None:
        pool = fastpool.AsyncPool(connect, min_size=2, max_size=4, backoff=(0.01, 0.1))
        await pool.open()
        async with pool.connection():
            lease = pool.connection()
            other = await lease.__aenter__()
            lease.discard()
            await lease.__aexit__(None, None, None)
            assert await soon(lambda: len(pool) == 2 and other.closed), "one is out, and another was opened"
        pool.resize(min_size=3)
        assert await soon(lambda: len(pool) == 3)
        pool.resize(min_size=0, max_idle=1)
        assert await soon(lambda: len(pool) == 1)
        await pool.close()

    asyncio.run(main())


def test_fifo_uses_the_connections_in_turn() -> None:
    async def main() -> None:
        async with fastpool.AsyncPool(object, max_size=3, order="fifo") as pool:
            three = [await pool.checkout() for _ in range(3)]
            for c in three:
                pool.checkin(c)
            for expected in three * 2:
                async with pool.connection() as used:
                    assert used is expected

    asyncio.run(main())


def test_no_option_and_no_method_is_tried_with_threads_only() -> None:
    root = Path(__file__).parent
    options, methods = set[str](), set[str]()
    for scenario in scenarios(root.parent / "conformance"):
        if "tasks" in scenario.concurrency:
            options |= set(scenario.pool)
            verbs = {step.verb for step in scenario.steps if step.kind == "actor"} & set(VERBS)
            methods |= {verb.split()[0].removesuffix("s") for verb in verbs}
    for path in [*root.glob("test_async*.py"), root / "test_events_alike.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                options |= {keyword.arg for keyword in node.keywords if keyword.arg}
                methods |= {node.func.attr} if isinstance(node.func, ast.Attribute) else set()
            elif isinstance(node, ast.Dict):
                options |= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    wanted = {field.name for field in dataclasses.fields(Config)} | {"close", "check", "reset", "fileno", "keep_on"}
    assert wanted - options == set()
    public = {name for kind in fastpool.AsyncPool.__mro__ for name in vars(kind) if not name.startswith("_")}
    called = {name for name in public if callable(getattr(fastpool.AsyncPool, name))}
    assert called - methods == set()
