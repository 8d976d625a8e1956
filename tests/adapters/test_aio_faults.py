"""After a thousand faults of every kind the pool has as many connections and descriptors as before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("happybase")
pytest.importorskip("thriftpy2_httpx_client")
from thriftpy2.thrift import TApplicationException, TException
from thriftpy2.transport import TTransportException

from tests.concurrency._told import eventually

from ._aio import WITHIN_S, ask
from ._cancelled import Canceller
from ._faults import Interruption, Trap
from ._scripted import Call, hang_up, row
from ._settle import descriptors
from .test_aio_wires import Wire

SIZE = 3
MOST_AWAITS = 12


async def interrupted_while_encoding(c: Any, pool: Any) -> None:
    await c.client.getRowWithColumns(b"t", b"r", Trap(), {})


async def closed_by_hand(c: Any, pool: Any) -> None:
    c.close()


async def client_closed(c: Any, pool: Any) -> None:
    c.client.close()


async def closed_and_opened(c: Any, pool: Any) -> None:
    c.close()
    await c.open()
    assert await c.tables() == [b"t"]


async def socket_torn(c: Any, pool: Any) -> None:
    c.client._socket.sock.close()
    with pytest.raises(OSError):
        await c.tables()


async def left_in_the_middle_of_a_batch(c: Any, pool: Any) -> None:
    async with c.table("t").batch(batch_size=1) as batch:
        await batch.put(b"r", {b"cf:a": b"v"})
        raise Interruption


async def left_scanning(c: Any, pool: Any) -> None:
    await anext(c.table("t").scan(batch_size=2))
    raise Interruption


async def inner_block_failed(c: Any, pool: Any) -> None:
    with contextlib.suppress(TTransportException):
        async with pool.connection() as inner:
            inner.close()
            await inner.tables()
    assert await c.tables() == [b"t"]


SERVER_FAULTS: dict[str, tuple[Callable[[Call], object], type[Exception]]] = {
    "wrong id": (lambda call: call.stream.send(call.stream.good(call, seqid=7)), TApplicationException),
    "wrong name": (lambda call: call.stream.send(call.stream.good(call, name="getRow")), TApplicationException),
    "refusal": (lambda call: call.stream.send(call.stream.refusal(call)), TApplicationException),
    "half": (lambda call: (call.stream.send(call.stream.good(call)[:-4]), hang_up(call)), TException),
    "hang up": (hang_up, TException),
}
CLIENT_FAULTS: list[Callable[[Any, Any], Awaitable[None]]] = [
    interrupted_while_encoding,
    closed_by_hand,
    client_closed,
    closed_and_opened,
    socket_torn,
    left_in_the_middle_of_a_batch,
    left_scanning,
    inner_block_failed,
]


async def work(pool: Any) -> None:
    async with pool.table("t") as table:
        assert await table.row(b"mine") == row(b"mine")
        await anext(table.scan(batch_size=2))


async def fault(wire: Wire, pool: Any, seen: Counter[str], rng: random.Random) -> None:
    dice = rng.random()
    if dice < 0.2:
        name, (script, error) = rng.choice(list(SERVER_FAULTS.items()))
        seen[name] += 1
        async with pool.connection() as c:
            wire.server.script = script
            with pytest.raises((error, OSError)):
                await c.tables()
            wire.server.script = None
    elif dice < 0.5:
        canceller = Canceller(late=rng.random() < 0.5)
        wire.server.script = canceller.answer
        seen["cancelled"] += await canceller.cancelled(work(pool), rng.randrange(MOST_AWAITS))
        wire.server.script = None
    else:
        harm = rng.choice(CLIENT_FAULTS)
        seen[harm.__name__] += 1
        with contextlib.suppress(Interruption):
            async with pool.connection() as c:
                assert await c.tables() == [b"t"]
                await harm(c, pool)


async def all_at_once(pool: Any) -> None:
    """As many tasks as the pool has connections hold one each at the same time, and each reads its own rows."""
    together = asyncio.Barrier(SIZE)
    good: list[Any] = []

    async def use(number: int) -> None:
        async with pool.connection(timeout=WITHIN_S) as c:
            await together.wait()
            for i in range(5):
                key = b"%d:%d" % (number, i)
                assert await c.table("t").row(key) == row(key)
            good.append(c)

    await asyncio.gather(*map(use, range(SIZE)))
    assert len(set(map(id, good))) == SIZE
    stats = pool.stats()
    assert (stats.leased, stats.idle, stats.connecting, stats.waiting) == (0, SIZE, 0, 0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("tcp", 200),
        ("framed compact", 100),
        *[pytest.param(kind, 4_000, marks=pytest.mark.stress) for kind in ("tcp", "framed compact", "tls")],
    ],
)
def test_after_so_many_faults(kind: str, faults: int, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    rng = random.Random(faults)

    async def main(wire: Wire) -> None:
        async with wire.pool(SIZE, timeout=5000) as pool:
            await all_at_once(pool)
            before = descriptors()
            for number in range(faults):
                await fault(wire, pool, seen, rng)
                if number % 10 == 0:
                    key = b"%d" % number
                    assert await ask(pool, key) == row(key)
            await all_at_once(pool)
            if kind != "tls":  # with TLS the relay's descriptors are in this process, too, until the relay ends
                assert await asyncio.to_thread(eventually, lambda: descriptors() <= before)

    with contextlib.ExitStack() as stack:
        wire = Wire(kind, tmp_path, stack)
        asyncio.run(main(wire))
        assert len(seen) == len(SERVER_FAULTS) + len(CLIENT_FAULTS) + 1, "of each kind"
        assert wire.server.connections(1) > faults / 4


async def once(pool: Any) -> None:
    assert await ask(pool) == row(b"k")


async def scanning(pool: Any) -> None:
    async with pool.table("t") as table:
        await anext(table.scan(batch_size=2))


@pytest.mark.parametrize("kind", ["tcp", "tls", "unix"])
@pytest.mark.parametrize("use", [once, scanning], ids=lambda use: use.__name__)
def test_uvloop(kind: str, use: Callable[[Any], Coroutine[Any, Any, None]], tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main(wire: Wire) -> None:
        nth = 0
        while True:
            canceller = Canceller(late=bool(nth % 2))
            async with wire.pool() as pool:
                await once(pool)
                wire.server.script = canceller.answer
                reached = await canceller.cancelled(use(pool), nth // 2)
                wire.server.script = None
                for key in (b"a", b"b"):
                    assert await ask(pool, key, timeout=WITHIN_S) == row(key)
            nth += 1
            if not reached:
                break
        assert nth > 2

    with contextlib.ExitStack() as stack, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main(Wire(kind, tmp_path, stack)), WITHIN_S))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["tcp", "tls", "http", "transport of one's own"])
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_a_child_connects_anew_and_leaves_the_parent_alone(kind: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack, asyncio.Runner() as runner:
        wire = Wire(kind, tmp_path, stack)
        pool = wire.pool()
        runner.run(once(pool))
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                # As after a fork in a worker: the child has a new loop, and the parent's stays untouched.
                asyncio.events._set_running_loop(None)
                loop = asyncio.new_event_loop()
                loop.run_until_complete(once(pool))
                pool.close()
                loop.run_until_complete(asyncio.sleep(0))
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
        runner.run(once(pool))
        assert pool.stats().connects == 1, "the parent has noticed nothing"
        pool.close()
        runner.run(asyncio.sleep(0.01))
