"""The guarded client of tasks: what costs the connection, what does not, and which reply belongs to which call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("happybase")
from Hbase_thrift import AlreadyExists, Hbase, IllegalArgument
from Hbase_thrift import IOError as HBaseIOError
from thriftpy2.thrift import TApplicationException, TException, TMessageType
from thriftpy2.transport import TTransportException

from ._aio import WITHIN_S, Late, ask, pool_to, run, whole_after
from ._faults import Trap
from ._scripted import Call, ScriptedServer, row


async def lost(c: Any) -> None:
    """The connection is closed, and every call says so for the rest of its block."""
    for _ in range(2):
        with pytest.raises(
            TTransportException, match="was closed, or a call on it failed or was interrupted"
        ) as caught:
            await c.tables()
        assert caught.value.type == TTransportException.NOT_OPEN
        assert f"{c.host}:{c.port}" in str(caught.value)


def wrong_type(call: Call) -> None:
    result = getattr(Hbase, call.name + "_result")()
    call.stream.send(call.stream.encode(call.name, call.seqid, result, TMessageType.CALL))


def no_result(call: Call) -> None:
    call.stream.send(call.stream.encode(call.name, call.seqid, getattr(Hbase, call.name + "_result")()))


SCRIPTS: list[tuple[str, Callable[[Call], None], str]] = [
    ("BAD_SEQUENCE_ID", lambda call: call.stream.send(call.stream.good(call, seqid=call.seqid - 1)), "desync"),
    ("WRONG_METHOD_NAME", lambda call: call.stream.send(call.stream.good(call, name="getRow")), "desync"),
    ("INVALID_MESSAGE_TYPE", wrong_type, "desync"),
    ("MISSING_RESULT", no_result, "error"),
    ("INTERNAL_ERROR", lambda call: call.stream.send(call.stream.refusal(call)), "error"),
    ("BAD_SEQUENCE_ID", lambda call: call.stream.send(call.stream.refusal(call, seqid=call.seqid + 5)), "desync"),
]


@pytest.mark.parametrize(
    ("kind", "script", "reason"),
    [pytest.param(kind, script, why, id=f"{i}-{kind}") for i, (kind, script, why) in enumerate(SCRIPTS)],
)
def test_a_reply_out_of_step(server: ScriptedServer, kind: str, script: Callable[[Call], None], reason: str) -> None:
    async def main() -> None:
        async with whole_after(server, reason) as pool, pool.connection() as c:
            server.script = script
            with pytest.raises(TApplicationException) as caught:
                await c.table("t").row(b"k")
            assert caught.value.type == getattr(TApplicationException, kind)
            assert str(caught.value)
            await lost(c)

    run(main())


def hang_up_after(data: Callable[[Call], bytes]) -> Callable[[Call], None]:
    def script(call: Call) -> None:
        call.stream.send(data(call))
        raise OSError  # ends the stream

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(hang_up_after(lambda call: b""), id="nothing"),
        pytest.param(hang_up_after(lambda call: call.stream.good(call)[:-7]), id="half a reply"),
        pytest.param(hang_up_after(lambda call: b"HTTP/1.1 400 Bad Request\r\n\r\n"), id="http"),
        pytest.param(hang_up_after(lambda call: b"\x80\x02\0\1" + b"\0" * 40), id="garbage"),
        pytest.param(hang_up_after(lambda call: b"\0" * 50), id="zeros"),
        pytest.param(hang_up_after(lambda call: b"\xff" * 50), id="ones"),
        pytest.param(lambda call: call.stream.send(call.stream.good(call)[:-7]), id="half a reply, then silence"),
        pytest.param(lambda call: None, id="silence"),
    ],
)
def test_no_reply(server: ScriptedServer, script: Callable[[Call], None]) -> None:
    async def main() -> None:
        async with whole_after(server, "error") as pool, pool.connection() as c:
            server.script = script
            c.client._socket._limit = 0.05  # the socket timeout, in this block only
            with pytest.raises(Exception):
                await c.table("t").row(b"k")
            await lost(c)

    run(main())


@pytest.mark.parametrize("extra", [b"\0", b"\0\0\0\1", b"\xff" * 3, b"\x7f\xff\xff\xff", b"x" * 5000])
def test_bytes_behind_a_reply(server: ScriptedServer, extra: bytes) -> None:
    async def main() -> None:
        async with pool_to(server) as pool:
            await ask(pool)
            server.script = lambda call: call.stream.send(call.stream.good(call) + extra)
            assert await ask(pool, b"a") == row(b"a")
            server.script = None
            for key in (b"b", b"c"):
                assert await ask(pool, key) == row(key)
            assert pool.stats().closed["desync"] + pool.stats().closed["dead"] == 1

    run(main())


def test_large_replies_leave_nothing_behind(server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(server, None) as pool:
            for size in (1, 4095, 4096, 4097, 65_535, 65_536, 70_000, 3, 300_000, 10):
                key = b"k" * size
                assert await ask(pool, key) == row(key)

    run(main())


@pytest.mark.parametrize("error", [HBaseIOError(b"io"), IllegalArgument(b"ia"), AlreadyExists(b"exist")], ids=repr)
def test_errors_that_hbase_declares_cost_nothing(server: ScriptedServer, error: TException) -> None:
    field = {HBaseIOError: "io", IllegalArgument: "ia", AlreadyExists: "exist"}[type(error)]
    result = Hbase.createTable_result(**{field: error})

    async def main() -> None:
        async with whole_after(server, None) as pool:
            server.script = lambda call: call.stream.send(call.stream.encode(call.name, call.seqid, result))
            with pytest.raises(type(error)) as caught:
                async with pool.connection() as c:
                    await c.create_table("t", {"cf": {}})
            assert caught.value.message == error.message

    run(main())


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(),
        TimeoutError(),
        TException(),
        TTransportException(),
        ValueError(),
        GeneratorExit(),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
def test_the_applications_errors_cost_nothing(plain_server: ScriptedServer, error: BaseException) -> None:
    async def main() -> None:
        async with whole_after(plain_server, None) as pool:
            with pytest.raises(type(error)) as caught:
                async with pool.connection() as c:
                    await c.tables()
                    raise error
            assert caught.value is error

    run(main())


def test_cancelled_between_two_calls_costs_nothing(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(plain_server, None) as pool:
            between = asyncio.Event()

            async def work() -> None:
                async with pool.connection() as c:
                    await c.tables()
                    between.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await between.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main())


@pytest.mark.parametrize("swallow", [False, True], ids=["raised", "swallowed"])
def test_interrupted_whatever_becomes_of_the_interruption(plain_server: ScriptedServer, swallow: bool) -> None:
    async def main() -> None:
        async with whole_after(plain_server, "error") as pool:
            plain_server.script = late = Late(b"mine")

            async def work() -> None:
                async with pool.connection() as c:
                    try:
                        await c.table("t").row(b"mine")
                    except asyncio.CancelledError:
                        await lost(c)
                        if not swallow:
                            raise

            task = asyncio.create_task(work())
            assert await asyncio.to_thread(late.arrived.wait, WITHIN_S)
            task.cancel()
            late.go.set()
            await asyncio.wait([task])
            assert task.cancelled() is not swallow

    run(main())


@pytest.mark.parametrize("reason", [asyncio.CancelledError(), GeneratorExit()], ids=repr)
def test_interrupted_before_anything_was_sent(server: ScriptedServer, reason: BaseException) -> None:
    async def main() -> None:
        async with whole_after(server, "error") as pool, pool.connection() as c:
            calls = len(server.calls)
            with pytest.raises(type(reason)) as caught:
                await c.client.getRowWithColumns(b"t", b"r", Trap(reason), {})
            assert caught.value is reason and len(server.calls) == calls
            await lost(c)

    run(main())


def test_an_argument_that_cannot_be_sent_costs_nothing(server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(server, None) as pool, pool.connection() as c:
            for _ in range(3):
                with pytest.raises(Exception):
                    await c.client.getRowWithColumns(b"t", b"r", [b"fine" * 3000, object()], {})
                assert await c.table("t").row(b"k") == row(b"k")

    run(main())


def test_sending_and_receiving_apart_is_refused(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(plain_server, None) as pool, pool.connection() as c:
            for apart in (c.client._send, c.client._recv):
                with pytest.raises(TypeError, match="getTableNames"):
                    await apart("getTableNames")
            assert sorted(dir(c.client)) == sorted(Hbase.thrift_services)
            with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
                c.client.nonsense()
            found = await c.client.getRowWithColumns(tableName=b"t", row=b"r", columns=None, attributes={})
            assert found[0].row == b"r"
            with pytest.raises(TypeError):
                await c.client.getTableNames(1, 2)

    run(main())


def test_sequence_ids_wrap_around(server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(server, None) as pool, pool.connection() as c:
            c.client._seqid = 0x7FFFFFFF - 1
            for i in range(3):
                assert await c.table("t").row(b"%d" % i) == row(b"%d" % i)
        assert server.accepted[0].seqids[1:4] == [0x7FFFFFFF, 0, 1]

    run(main())


def test_interrupts_of_threads_are_the_loops_business(plain_server: ScriptedServer) -> None:
    """Ctrl-C while a call is under way: asyncio cancels the main task, which costs the connection and nothing else."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread")
    import signal

    main_thread = threading.main_thread().ident
    assert main_thread is not None
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        pytest.skip("Ctrl-C is handled by another handler here")
    with asyncio.Runner() as runner:
        pool = pool_to(plain_server)
        runner.run(ask(pool))
        plain_server.script = lambda call: signal.pthread_kill(main_thread, signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            runner.run(ask(pool, b"mine"))
        plain_server.script = None
        assert runner.run(ask(pool, b"other")) == row(b"other")
        assert pool.stats().closed["error"] == 1
        pool.close()
