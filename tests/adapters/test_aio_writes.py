"""A write, cells or a counter of fastpool.aio that something gets in the way of costs its connection, and nothing else.

Each runs over the codec, over one that leaves messages to thriftpy2 (at random, and all), and with FASTPOOL_CODEC=off
without it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("happybase")
from thriftpy2.thrift import TApplicationException
from thriftpy2.transport import TTransportException

from fastpool._errors import LeaseError
from fastpool.adapters._thrift.codec import codec

from ._aio import WITHIN_S, run, whole_after
from ._scripted import Call, ScriptedServer, hang_up
from .conftest import refuse_as_asked

CELLS = {b"cf:a": b"1", b"cf:b": b"2"}


async def batch(table: Any) -> None:
    async with table.batch() as filling:
        await filling.put(b"k", CELLS)
        await filling.delete(b"other", [b"cf:a"])


USES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "put": lambda t: t.put(b"k", CELLS),
    "put at": lambda t: t.put(b"k", CELLS, timestamp=1),
    "delete": lambda t: t.delete(b"k", [b"cf:a"]),
    "batch": batch,
    "cells": lambda t: t.cells(b"k", b"cf:a"),
    "counter": lambda t: t.counter_inc(b"k", b"cf:a"),
    "counter set": lambda t: t.counter_set(b"k", b"cf:a", 3),
}


@pytest.fixture(params=[0.0, 0.5, 1.0], ids=["on", "refusing", "refusing all"])
def _codec(request: pytest.FixtureRequest) -> Iterator[None]:
    if codec is None:
        if request.param:
            pytest.skip("there is no codec that could refuse")
        yield
        return
    codec.refuse_at_random(request.param, 5)
    yield
    refuse_as_asked()


pytestmark = [pytest.mark.usefixtures("_codec"), pytest.mark.parametrize("name", USES)]


def another_seqid(call: Call) -> None:
    call.stream.send(call.stream.good(call, seqid=call.seqid - 1))


def another_name(call: Call) -> None:
    call.stream.send(call.stream.good(call, name="getRow"))


def one_byte_more(call: Call) -> None:
    call.stream.send(call.stream.good(call) + b"\0")


def half(call: Call) -> None:
    data = call.stream.good(call)
    call.stream.send(data[: len(data) // 2])
    raise OSError  # ends the stream


@pytest.mark.parametrize(
    ("script", "reason", "error"),
    [
        (another_seqid, "desync", TApplicationException),
        (another_name, "desync", TApplicationException),
        (hang_up, "error", TTransportException),
        (half, "error", TTransportException),
    ],
    ids=["another seqid", "another name", "hang up", "half"],
)
def test_another_reply_or_none_costs_the_connection(
    server: ScriptedServer, name: str, script: Any, reason: str, error: type[Exception]
) -> None:
    async def main() -> None:
        async with whole_after(server, reason) as pool, pool.connection() as c:
            server.script = script
            with pytest.raises(error):
                await USES[name](c.table("t"))
            assert not c.client.is_open()

    run(main())


def test_bytes_behind_a_reply_cost_the_connection(server: ScriptedServer, name: str) -> None:
    async def main() -> None:
        async with whole_after(server, "desync") as pool, pool.connection() as c:
            server.script = one_byte_more
            await USES[name](c.table("t"))
            assert not c.client.is_open()

    run(main())


def test_cancelled_in_the_middle(server: ScriptedServer, name: str) -> None:
    """The reply is sent after the cancellation, and nobody gets it."""
    arrived, go = threading.Event(), threading.Event()

    def held(call: Call) -> None:
        arrived.set()
        assert go.wait(WITHIN_S)
        call.stream.send(call.stream.good(call))

    async def use(pool: Any) -> None:
        async with pool.connection() as c:
            await USES[name](c.table("t"))

    async def main() -> None:
        async with whole_after(server, "error") as pool:
            server.script = held
            task = asyncio.create_task(use(pool))
            try:
                assert await asyncio.to_thread(arrived.wait, WITHIN_S)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            finally:
                go.set()

    run(main())


def test_after_the_lease(server: ScriptedServer, name: str) -> None:
    async def main() -> None:
        async with whole_after(server, None) as pool:
            async with pool.connection() as c:
                table = c.table("t")
            sent = len(server.calls)
            with pytest.raises(LeaseError):
                await USES[name](table)
            assert len(server.calls) == sent

    run(main())


def test_an_argument_that_cannot_be_sent_costs_nothing(server: ScriptedServer, name: str) -> None:
    bad: dict[str, Callable[[Any], Awaitable[Any]]] = {
        "put": lambda t: t.put(b"k", {b"cf:a": 1}),
        "put at": lambda t: t.put(b"k", CELLS, timestamp=2**70),
        "delete": lambda t: t.delete(b"k", [1]),
        "batch": lambda t: t.put(b"k", {b"cf:a": b"1", b"cf:b": object()}),
        "cells": lambda t: t.cells(b"k", 1),
        "counter": lambda t: t.counter_inc(b"k", b"cf:a", "1"),
        "counter set": lambda t: t.put(1, {b"cf:a": b"1"}),
    }

    async def main() -> None:
        async with whole_after(server, None) as pool, pool.connection() as c:
            sent = len(server.calls)
            with pytest.raises(Exception) as caught:
                await bad[name](c.table("t"))
            assert not isinstance(caught.value, (TTransportException, TApplicationException, LeaseError))
            assert len(server.calls) == sent and c.client.in_step()

    run(main())
