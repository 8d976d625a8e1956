"""The behaviour of aiohappybase's pool that ours must have as well: each test runs against both."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("happybase")
from thriftpy2.thrift import TException
from thriftpy2.transport import TTransportException

from ._aio import aio, aiohappybase, ask, pool_to, run
from ._scripted import Call, ScriptedServer, hang_up, row

# aiohappybase drops connections without closing them, and these tests compare both pools with that behaviour.
LEAKS = "ignore:.*:pytest.PytestUnraisableExceptionWarning", "ignore:(unclosed|loop is closed):ResourceWarning"
pytestmark = [pytest.mark.filterwarnings(leak) for leak in LEAKS]


@pytest.fixture
def server(plain_server: ScriptedServer) -> ScriptedServer:
    return plain_server


def test_all_that_aiohappybase_has_is_there() -> None:
    assert set(aiohappybase.__all__) <= set(aio.__all__)
    for name in set(aiohappybase.__all__) - {"ConnectionPool", "NoConnectionsAvailable"}:
        assert getattr(aio, name) is getattr(aiohappybase, name)
    assert issubclass(aio.NoConnectionsAvailable, aiohappybase.NoConnectionsAvailable)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, TypeError, "size"),
        *[({"size": size}, TypeError, "^Pool 'size' arg must be an integer$") for size in ("abc", 1.0, None, b"1")],
        *[({"size": size}, ValueError, "^Pool 'size' arg must be greater than zero$") for size in (0, -1)],
        ({"size": 1, "transport": "x"}, ValueError, "^transport=x is not in: "),
        ({"size": 1, "protocol": "x"}, ValueError, "^protocol=x is not in: "),
        ({"size": 1, "compat": "x"}, ValueError, "^compat=x is not in: "),
        ({"size": 1, "client": "x"}, ValueError, "^client=x is not in: "),
        ({"size": 1, "table_prefix": 1}, TypeError, "^'table_prefix' must be a string$"),
        ({"size": 1, "table_prefix_separator": 1}, TypeError, "^'table_prefix_separator' must be a string$"),
    ],
    ids=str,
)
def test_bad_arguments(kind: Any, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kind(**arguments)


def test_an_argument_that_thriftpy2_does_not_know_is_noticed_at_the_first_connect(
    kind: Any, server: ScriptedServer
) -> None:
    async def main() -> None:
        async with pool_to(server, kind=kind, nonsense=1) as pool:
            with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
                await ask(pool)

    run(main())


@pytest.mark.parametrize("autoconnect", [True, False])
def test_autoconnect_is_ignored_and_nothing_opened_before_it_is_needed(
    kind: Any, server: ScriptedServer, autoconnect: bool
) -> None:
    async def main() -> None:
        async with pool_to(server, True, kind, autoconnect=autoconnect) as pool:
            assert server.accepted == []
            await ask(pool)

    run(main())
    assert server.connections(1) == 1


def test_arguments_reach_the_connection(kind: Any, server: ScriptedServer) -> None:
    options = {"table_prefix": "p", "table_prefix_separator": "-", "compat": "0.96", "timeout": 1234}

    async def main() -> None:
        async with pool_to(server, 1, kind, **options) as pool, pool.connection() as c:
            assert isinstance(c, aiohappybase.Connection)
            assert (c.host, c.port, c.timeout, c.compat) == (server.host, server.port, 1234, "0.96")
            assert (c.table_prefix, c.table_prefix_separator) == (b"p", b"-")
            assert isinstance(c.table("t"), aiohappybase.Table)
            assert (c.table("t").name, c.table("t", use_prefix=False).name) == (b"p-t", b"t")
            assert c.client_kwargs["timeout"] == 1234

    run(main())


def test_tables_of_other_prefixes_are_not_listed(kind: Any, server: ScriptedServer) -> None:
    for prefix, found in (("t", []), (None, [b"t"])):

        async def main(prefix: str | None = prefix, found: list[bytes] = found) -> None:
            async with pool_to(server, 1, kind, table_prefix=prefix) as pool, pool.connection() as c:
                assert await c.tables() == found

        run(main())


@pytest.mark.parametrize("compat", ["0.90", "0.92", "0.94", "0.96", "0.98"])
def test_compat_is_what_a_scan_goes_by(kind: Any, server: ScriptedServer, compat: str) -> None:
    def script(call: Call) -> None:
        opened.append((call.name, call.args)) if "Open" in call.name else None
        call.stream.send(call.stream.good(call))

    opened: list[tuple[str, Any]] = []
    server.script = script

    async def main() -> None:
        async with pool_to(server, 1, kind, compat=compat) as pool, pool.connection() as c:
            assert len([key async for key, _ in c.table("t").scan(row_stop=b"x", timestamp=7, limit=2)]) == 2
            outcome = "reversed"
            try:
                _ = [key async for key, _ in c.table("t").scan(reverse=True, limit=2)]
            except NotImplementedError as error:
                outcome = str(error)
            assert outcome == ("reversed" if compat == "0.98" else "'reverse' requires HBase >= 0.98")

    run(main())
    name, arguments = opened[0]
    assert name == ("scannerOpenWithStopTs" if compat == "0.90" else "scannerOpenWithScan")
    assert arguments.tableName == b"t"
    assert server.calls.count("scannerClose") == len(opened)


def test_a_server_that_cannot_be_reached(kind: Any, closed_port: Callable[[], int]) -> None:
    port = closed_port()

    async def main() -> None:
        for host in ("127.0.0.1", "host.invalid"):
            async with kind(1, host=host, port=port) as pool:
                for _ in range(2):
                    with pytest.raises((TTransportException, OSError)) as caught:
                        await ask(pool)
                    assert isinstance(caught.value, TTransportException)
                    assert caught.value.type == TTransportException.NOT_OPEN
                    assert caught.value.message == f"Could not connect to ({host!r}, {port})"

    run(main())


def test_blocks_of_one_task_share_and_those_of_its_children_do_not(kind: Any, server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 3, kind) as pool, pool_to(server, 1, kind) as other:

            async def child() -> Any:
                async with pool.connection() as c:
                    await asyncio.sleep(0)
                    return c

            async with pool.connection() as outer:
                async with pool.connection(timeout=0) as inner, other.connection() as others:
                    assert inner is outer and others is not outer
                first, second = await asyncio.gather(child(), child())
                assert len({id(outer), id(first), id(second)}) == 3
                assert await outer.tables() == [b"t"]
            assert server.connections(4) == 4

    run(main())


def test_what_was_returned_last_is_given_first(kind: Any, server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 3, kind) as pool:
            async with pool.connection() as first:

                async def other() -> Any:
                    async with pool.connection() as c:
                        return c

                second = await asyncio.create_task(other())
                assert second is not first
            for _ in range(3):
                async with pool.connection() as c:
                    assert c is first

    run(main())


def test_exhausted(kind: Any, server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 1, kind) as pool, pool.connection():
            for timeout in (0, 0.01, 1e-6):
                with pytest.raises(aiohappybase.NoConnectionsAvailable, match=r"^Timeout waiting for a c") as caught:
                    await asyncio.create_task(ask(pool, timeout=timeout))
                assert isinstance(caught.value, RuntimeError)
                assert not isinstance(caught.value, OSError | TException)

    run(main())


def test_a_bad_timeout_raises_when_the_block_begins(kind: Any, server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 1, kind) as pool:
            await ask(pool)
            block = pool.connection(timeout="x")
            with pytest.raises(TypeError):
                async with block:
                    pass

    run(main())


@pytest.mark.parametrize(
    "error", [ValueError(), TException(), OSError(2, "x"), TimeoutError(), GeneratorExit(), asyncio.CancelledError()]
)
def test_exceptions_leave_the_block_as_they_are(kind: Any, server: ScriptedServer, error: BaseException) -> None:
    async def main() -> None:
        async with pool_to(server, 1, kind) as pool:
            with pytest.raises(type(error)) as caught:
                async with pool.connection():
                    raise error
            assert caught.value is error
            assert await ask(pool) == row(b"k")

    run(main())


def test_works_as_a_decorator(kind: Any, server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 1, kind) as pool:

            @pool.connection()
            async def work(a: int, *, b: int) -> int:
                async with pool.connection(timeout=0) as c:
                    assert await c.tables() == [b"t"]
                return a + b

            assert [await work(1, b=2), await work(2, b=2)] == [3, 4]

    run(main())


@pytest.mark.parametrize("harm", ["close", "client.close", "hang up"])
def test_the_outer_block_works_after_the_inner_one_failed(kind: Any, server: ScriptedServer, harm: str) -> None:
    harms: dict[str, Callable[[Any], None]] = {
        "close": lambda c: c.close(),
        "client.close": lambda c: c.client.close(),
        "hang up": lambda c: setattr(server, "script", hang_up),
    }

    async def main() -> None:
        async with pool_to(server, 1, kind) as pool, pool.connection() as outer:
            for _ in range(3):
                with pytest.raises(TException):
                    async with pool.connection() as inner:
                        harms[harm](inner)
                        if harm == "hang up":
                            await inner.tables()
                        raise TException
                server.script = None
                assert await outer.tables() == [b"t"]
            assert await outer.table("t").row(b"k") == row(b"k")

    run(main())


def test_closed_and_opened_again_by_hand(kind: Any, server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 1, kind) as pool:
            async with pool.connection() as c:
                c.close()
                c.close()
                await c.open()
                await c.open()
                assert await c.tables() == [b"t"]
                async with c as same:  # opens the connection, and closes it at the end
                    assert same is c
                    assert await c.tables() == [b"t"]
            assert await ask(pool) == row(b"k")
            assert server.connections(3) == 3

    run(main())


def test_logs(kind: Any, server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with pool_to(server, 7, kind) as pool:
            with pytest.raises(TTransportException):
                async with pool.connection() as c:
                    server.script = hang_up
                    await c.tables()
            server.script = None
            await ask(pool)

    run(main())
    where = f"Thrift transport to {server.host}:{server.port}"
    # Our pool knows already that the server hung up, so it logs no closing.
    records = [r for r in caplog.record_tuples if r[0].startswith("aiohappybase.") and "Closing" not in r[2]]
    assert records == [
        ("aiohappybase.pool", logging.DEBUG, "Initializing connection pool with 7 connections"),
        ("aiohappybase.connection", logging.DEBUG, f"Opening {where}"),
        ("aiohappybase.pool", logging.INFO, "Replacing tainted pool connection"),
        ("aiohappybase.connection", logging.DEBUG, f"Opening {where}"),
    ]
    assert ("aiohappybase.connection", logging.DEBUG, f"Closing {where}") in caplog.record_tuples


def test_more_tasks_than_connections_all_finish(kind: Any, server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server, 3, kind) as pool:

            async def work(number: int) -> None:
                for i in range(20):
                    key = b"%d-%d" % (number, i)
                    async with pool.connection() as outer, pool.connection() as inner:
                        assert inner is outer
                        assert await outer.table("t").row(key) == row(key)

            await asyncio.gather(*map(work, range(10)))

    run(main())
    assert server.connections(3) == 3


def test_used_outside_of_a_loop(kind: Any, server: ScriptedServer) -> None:
    """``with pool:`` outside of a running loop; inside of one its error says what to use."""
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        try:
            with pool_to(server, 1, kind) as pool:
                assert runner.run(ask(pool)) == row(b"k")

            async def main() -> None:
                pool = pool_to(server, 1, kind)
                with pytest.raises(RuntimeError, match=r"^Use async with inside a running event loop!$"):
                    with pool:
                        pass
                pool.close()

            runner.run(main())
        finally:
            asyncio.set_event_loop(None)
