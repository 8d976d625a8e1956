"""Each transport to HBase that aiohappybase knows: TCP, TLS, unix sockets, HTTP; both pools, then our own promises."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("happybase")
pytest.importorskip("thriftpy2_httpx_client")

from thriftpy2.thrift import TApplicationException

import fastpool

from ._aio import WITHIN_S, Late, aio, ask, run
from ._fronts import HttpFront, Relay
from ._scripted import Call, ScriptedServer, row

# aiohappybase drops connections without closing them, and connections that httpx and asyncio left open when their loop
# was closed cannot be closed afterwards; thriftpy2's client for httpx calls it in a deprecated way. (test_aio_faults
# counts the descriptors of our pool.)
pytestmark = [
    pytest.mark.filterwarnings("ignore:(unclosed|loop is closed):ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),
]

LONG = [pytest.param("http framed", marks=pytest.mark.stress)]
WIRES = ["tcp", "tls", "tls in small records", "unix", "http", "transport of one's own", *LONG]
STREAMS = WIRES[:4]  # transports whose bytes fastpool reads itself


class Wire:
    """A transport to a scripted server, and the arguments that select it."""

    def __init__(self, kind: str, folder: Path, stack: contextlib.ExitStack) -> None:
        compact = "compact" if "compact" in kind else "binary"
        self.server = server = ScriptedServer("framed" if kind.startswith(("http", "framed")) else "buffered", compact)
        stack.callback(server.close)
        self.arguments: dict[str, Any] = {}
        front: Any = server
        if kind.startswith("tls"):
            mine, theirs = contexts()
            front = stack.enter_context(Relay(server, context=theirs, piece=97 if "small" in kind else 1 << 16))
            self.arguments = {"ssl_context": mine}
        elif kind == "unix":
            path = str(folder / "hbase.sock")
            front = stack.enter_context(Relay(server, path=path))
            self.arguments = {"unix_socket": path}
        elif kind.startswith("http"):
            front = stack.enter_context(HttpFront(server, "framed" if "framed" in kind else "buffered"))
            self.arguments = {"client": "http"}
        elif kind == "transport of one's own":
            self.arguments = {"trans_factory": OwnFactory()}
        self.arguments |= {"transport": front.transport, "protocol": front.protocol}
        if kind != "unix":
            self.arguments |= {"host": front.host, "port": front.port}

    def pool(self, size: int = 1, kind: Any = aio.ConnectionPool, **options: Any) -> Any:
        return kind(size, **{**self.arguments, **options})


class OwnFactory:
    def get_transport(self, under: Any) -> Any:
        from thriftpy2.contrib.aio.transport import TAsyncBufferedTransport

        return TAsyncBufferedTransport(under)


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's context, of the same certificate authority."""
    authority = pytest.importorskip("trustme").CA()
    mine, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(mine)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    return mine, theirs


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    with contextlib.ExitStack() as stack:
        yield Wire(request.param, tmp_path, stack)
    if request.param not in STREAMS:
        gc.collect()  # so that connections left open warn here, where warnings are filtered


stream_wires = pytest.mark.parametrize("wire", STREAMS, indirect=True)


def test_calls(wire: Wire, kind: Any) -> None:
    async def main() -> None:
        async with wire.pool(2, kind) as pool:
            for size in (1, 100, 70_000):
                key = b"k" * size
                assert await ask(pool, key) == row(key)
            async with pool.connection() as one:
                assert await one.tables() == [b"t"]
                assert [key async for key, _ in one.table("t").scan(limit=3)] == [b"0", b"1", b"2"]
                assert await asyncio.create_task(ask(pool, b"other")) == row(b"other"), "on a second connection"
        assert wire.server.connections(2) == 2

    run(main())


def test_the_reply_of_a_cancelled_call_reaches_no_other_caller(wire: Wire) -> None:
    async def main() -> None:
        async with wire.pool() as pool:
            wire.server.script = late = Late(b"first")
            await late.interrupted(pool)
            for key in (b"other", b"first"):
                assert await ask(pool, key) == row(key)
            assert pool.stats().closed["error"] == 1

    run(main())


@stream_wires
def test_a_server_that_hung_up_is_noticed_before_the_block(wire: Wire) -> None:
    async def main() -> None:
        async with wire.pool(check_after=0) as pool:
            for turn in range(1, 4):
                async with pool.connection() as c:
                    assert await c.tables() == [b"t"]
                assert wire.server.connections(turn) == turn
                wire.server.accepted[-1].sock.shutdown(socket.SHUT_RDWR)
                while pool.stats().closed["dead"] < turn:  # until the end of file has arrived
                    async with pool.connection():
                        await asyncio.sleep(0.002)
            assert pool.stats().closed["error"] == 0

    run(main())


@stream_wires
def test_an_unasked_reply_while_idle_reaches_no_caller(wire: Wire) -> None:
    async def main() -> None:
        async with wire.pool(check_after=0) as pool:
            assert await ask(pool) == row(b"k")
            wire.server.accepted[0].send(b"you never asked")
            while pool.stats().connects < 2:
                async with pool.connection():
                    await asyncio.sleep(0.002)
            assert await ask(pool, b"other") == row(b"other")
            assert pool.stats().closed["error"] == 0

    run(main())


@stream_wires
def test_a_reply_too_many_costs_the_connection(wire: Wire) -> None:
    def twice(call: Call) -> None:
        call.stream.send(2 * call.stream.good(call))

    async def main() -> None:
        async with wire.pool() as pool:
            await ask(pool)
            wire.server.script = twice
            assert await ask(pool, b"a") == row(b"a")
            wire.server.script = None
            # With small records the second reply may still be on its way; then the next call finds it.
            with contextlib.suppress(TApplicationException):
                assert await ask(pool, b"b") == row(b"b")
            assert await ask(pool, b"c") == row(b"c")
            assert pool.stats().closed["desync"] == 1

    run(main())


def test_closed_from_outside_of_its_loop(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    """By a thread while the loop runs, without a loop while it is suspended, and after the loop was closed."""
    with asyncio.Runner() as runner:
        pool = wire.pool()
        runner.run(ask(pool))

        async def closed_by_a_thread() -> None:
            await ask(pool)
            await asyncio.to_thread(pool.close)
            with pytest.raises(fastpool.PoolClosed):
                await ask(pool)

        runner.run(closed_by_a_thread())
        resting = wire.pool()
        runner.run(ask(resting))
        resting.close()
        runner.run(asyncio.sleep(0))
    left = wire.pool()
    run(ask(left))
    left.close()
    assert [len(pool), len(resting), len(left)] == [0, 0, 0]
    assert caplog.records == []


def test_a_second_loop_gets_a_connection_of_its_own(wire: Wire) -> None:
    pool = wire.pool()
    for key in (b"a", b"b"):

        async def main(key: bytes = key) -> None:
            assert await ask(pool, key) == row(key)

        run(main())
    pool.close()


def test_keepalive_is_heard(wire: Wire) -> None:
    heard = threading.Event()

    def listen(call: Call) -> None:
        call.stream.send(call.stream.good(call))
        if call.name == "getTableNames":
            heard.set()

    async def main() -> None:
        wire.server.script = listen
        async with wire.pool(keepalive=0.02) as pool:
            await ask(pool)
            assert await asyncio.to_thread(heard.wait, WITHIN_S)
            assert await ask(pool) == row(b"k")
            assert pool.stats().connects == 1

    run(main())


def test_a_server_that_does_not_answer_a_keepalive_is_given_up_by_its_limit(wire: Wire) -> None:
    over = threading.Event()

    def silent(call: Call) -> None:
        if call.name == "getTableNames":
            over.wait(WITHIN_S)
        call.stream.send(call.stream.good(call))

    async def main() -> None:
        wire.server.script = silent
        async with wire.pool(keepalive=0.02, check_timeout=0.05, min_size=1) as pool:
            await ask(pool)
            while not pool.stats().closed["dead"]:
                await asyncio.sleep(0.002)
            assert not over.is_set()
            assert await ask(pool) == row(b"k")
        over.set()

    run(main())


def test_a_scanner_that_nobody_closes_holds_nobody_up(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastpool.adapters.aiohappybase.pool.PATIENCE_S", 0.05)
    silent = threading.Event()

    def script(call: Call) -> None:
        if call.name == "scannerClose":
            silent.wait(WITHIN_S)
        call.stream.send(call.stream.good(call))

    async def main() -> None:
        wire.server.script = script
        async with wire.pool() as pool:
            async with pool.table("t") as table:
                await anext(table.scan(batch_size=2))
            assert await ask(pool, b"other") == row(b"other")
            assert pool.stats().closed["error"] == 1
        silent.set()

    run(main())
