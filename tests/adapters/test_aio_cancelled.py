"""A task is cancelled at every await of each kind of use: the pool of fastpool.aio recovers, and the next row is
right."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("happybase")
pytest.importorskip("thriftpy2_httpx_client")
from thriftpy2.transport import TTransportException

from ._aio import WITHIN_S, ask
from ._cancelled import Canceller
from ._scripted import row
from .test_aio_wires import Wire

LONG = ["framed compact", "unix", "transport of one's own", "http"]
LEAKS = pytest.mark.filterwarnings("ignore:(unclosed|loop is closed):ResourceWarning")  # asyncio's own code
WIRES = ["tcp", "tls", *[pytest.param(kind, marks=[pytest.mark.stress, LEAKS]) for kind in LONG]]
MOST = 400  # upper bound of awaits in one use

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]


async def a_row(pool: Any) -> None:
    await ask(pool, b"mine")


async def calls_one_after_another(pool: Any) -> None:
    async with pool.connection() as c:
        for key in (b"mine", b"mine, too"):
            assert await c.table("t").row(key) == row(key)
        await c.tables()


async def a_scan_that_is_left(pool: Any) -> None:
    async with pool.table("t") as table:
        async for _ in table.scan(batch_size=2):
            break
        await anext(table.scan(batch_size=2))


async def a_batch(pool: Any) -> None:
    async with pool.table("t") as table, table.batch(batch_size=2) as batch:
        for i in range(5):
            await batch.put(b"%d" % i, {b"cf:a": b"v"})


async def writes_and_counters(pool: Any) -> None:
    async with pool.table("t") as table:
        await table.put(b"k", {b"cf:a": b"1", b"cf:b": b"2"})
        await table.counter_inc(b"k", b"cf:n")
        await table.cells(b"k", b"cf:a")
        await table.delete(b"k", [b"cf:a"])


async def nested_blocks(pool: Any) -> None:
    async with pool.connection() as outer, pool.connection() as inner:
        await inner.tables()
        async with pool.connection():
            await outer.table("t").row(b"mine")
        await outer.tables()


async def an_outer_block_after_a_broken_inner_one(pool: Any) -> None:
    async with pool.connection() as outer:
        with contextlib.suppress(TTransportException):
            async with pool.connection() as inner:
                inner.close()
                await inner.tables()
        assert await outer.table("t").row(b"mine") == row(b"mine")


async def closed_and_opened_again(pool: Any) -> None:
    async with pool.connection() as c:
        c.close()
        await c.open()
        assert await c.table("t").row(b"mine") == row(b"mine")


async def by_hand(pool: Any) -> None:
    c = await pool.checkout()
    try:
        await anext(c.table("t").scan(batch_size=2))
        await c.tables()
    finally:
        pool.checkin(c)


async def two_in_line(pool: Any) -> None:
    async with pool.connection() as c, asyncio.TaskGroup() as group:
        waiting = group.create_task(ask(pool, b"mine"))
        await asyncio.sleep(0)
        await c.tables()
        waiting.cancel()


WORK: list[Callable[[Any], Coroutine[Any, Any, None]]] = [
    a_row,
    calls_one_after_another,
    a_scan_that_is_left,
    a_batch,
    writes_and_counters,
    nested_blocks,
    an_outer_block_after_a_broken_inner_one,
    closed_and_opened_again,
    by_hand,
    two_in_line,
]


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    with contextlib.ExitStack() as stack:
        yield Wire(request.param, tmp_path, stack)


@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when it has waited"])
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_at_every_await(wire: Wire, work: Callable[[Any], Coroutine[Any, Any, None]], late: bool) -> None:
    canceller = Canceller(late)
    wire.server.script = canceller.answer

    async def main() -> None:
        for warm in (False, True):
            nth, reached = 0, True
            while reached:
                async with wire.pool() as pool:
                    if warm:
                        await ask(pool)
                    reached = await canceller.cancelled(work(pool), nth)
                    for key in (b"a", b"b"):
                        assert await ask(pool, key, timeout=WITHIN_S) == row(key), nth
                    stats = pool.stats()
                    assert (stats.leased, stats.connecting, stats.waiting, stats.idle) == (0, 0, 0, 1), nth
                nth += 1
                assert nth < MOST
            assert nth > 1

    asyncio.run(main())
