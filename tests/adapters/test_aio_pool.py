"""fastpool.aio.ConnectionPool as a pool: nesting, dead connections, loops, errors, open and close, beside
aiohappybase's."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import sysconfig
import threading

import pytest

pytest.importorskip("happybase")
from thriftpy2.thrift import TException
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.testing import HBaseServer
from tests.concurrency._told import eventually

from ._aio import WITHIN_S, aio, aiohappybase, ask, pool_to, run
from ._scripted import ScriptedServer, row
from ._settle import wait_until_readable


def test_nested_in_one_task_and_not_in_its_children(hbase: HBaseServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiohappybase.pool")

    async def main() -> None:
        async with pool_to(hbase, 2) as pool:
            async with pool.connection() as outer:
                async with pool.connection(timeout=0) as inner:
                    assert inner is outer

                async def child() -> bool:
                    async with pool.connection() as c:
                        return c is outer

                assert not await asyncio.create_task(child())
                with pytest.raises(TTransportException):
                    async with pool.connection() as inner:
                        inner.client.close()
                        await inner.tables()
                assert await outer.tables() == []
                with pytest.raises(TException):
                    async with pool.connection() as inner:
                        raise TException("the application's own, which costs nothing")
                try:
                    outer.client.close()
                    await outer.tables()
                except TTransportException:
                    pass
                async with pool.connection() as inner:
                    assert await inner.tables() == [], "a new block begins with a working connection"
            assert pool.stats().connects == 2
        assert caplog.messages.count("Replacing tainted pool connection") == 2

    run(main())


def test_dead_connections_are_replaced_before_the_block_runs(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with pool_to(hbase, 3, check_after=0) as pool:
            for reset in (False, True):
                held = [await pool.checkout() for _ in range(3)]
                socks = [c.client._socket.sock for c in held]
                for c in held:
                    pool.checkin(c)
                assert hbase.wait_connections(3)
                hbase.drop_connections(reset=reset)
                wait_until_readable(*socks)
                async with pool.connection() as c:
                    assert await c.tables() == []
            closed = pool.stats().closed
            assert closed["error"] == 0 and closed["dead"] + closed["desync"] >= 1, closed

    run(main())


def test_several_loops_at_once_and_one_after_another(plain_server: ScriptedServer) -> None:
    pool = pool_to(plain_server, 2)
    failures: list[BaseException] = []

    async def main() -> None:
        async def use(n: int) -> None:
            for i in range(10):
                key = b"%d:%d" % (n, i)
                assert await ask(pool, key, timeout=WITHIN_S) == row(key)

        await asyncio.gather(*map(use, range(3)))

    def in_thread() -> None:
        try:
            run(main())
        except BaseException as error:
            failures.append(error)

    run(main())
    threads = [threading.Thread(target=in_thread) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * WITHIN_S)
    assert not failures
    run(main())
    stats = pool.stats()
    assert (stats.leased, stats.connecting, stats.waiting) == (0, 0, 0) and len(pool) <= 2
    pool.close()
    assert len(pool) == 0


def test_exhausted_says_so_as_aiohappybase_does_and_more(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(plain_server) as pool, pool.connection():
            for timeout in (0, 0.01):
                with pytest.raises(aiohappybase.NoConnectionsAvailable) as caught:
                    await asyncio.create_task(ask(pool, timeout=timeout))
                assert str(caught.value).startswith("Timeout waiting for a connection")
                assert "1 leased" in str(caught.value)
                assert isinstance(caught.value, fastpool.NoConnectionsAvailable)
            lease = pool.connection(timeout=-1)  # raised when the block begins, as in aiohappybase
            with pytest.raises(ValueError, match="timeout"):
                await asyncio.create_task(lease.__aenter__())

    run(main())


def test_arguments_are_looked_at_as_aiohappybase_does() -> None:
    for arguments in ({"size": "abc"}, {"size": 1.0}, {"size": 1, "table_prefix": 1}):
        with pytest.raises(TypeError):
            aio.ConnectionPool(**arguments)
    for arguments in ({"size": 0}, {"size": -1}, {"size": 1, "transport": "x"}, {"size": 1, "compat": "0.1"}):
        with pytest.raises(ValueError):
            aio.ConnectionPool(**arguments)
    pool = aio.ConnectionPool(size=True, autoconnect=True, table_prefix="p", host=None, port=None)
    assert pool.config.max_size == 1 and len(pool) == 0
    pool.close()


def test_a_server_that_refuses(plain_server: ScriptedServer) -> None:
    plain_server.close()

    async def main() -> None:
        async with pool_to(plain_server) as pool:
            with pytest.raises(TTransportException, match="Could not connect to"):
                await ask(pool)
            assert pool.stats().connect_errors == 1 and len(pool) == 0

    run(main())


def test_close_needs_no_await_and_no_loop(plain_server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    with asyncio.Runner() as runner:
        with pool_to(plain_server) as pool:
            runner.run(ask(pool))
            (stream,) = plain_server.accepted
        assert pool.closed and len(pool) == 0
        assert eventually(lambda: stream.sock.fileno() < 0), "the server heard of it"

        async def main() -> None:
            pool = pool_to(plain_server)
            with pytest.raises(RuntimeError, match="async with"):
                pool.__enter__()
            async with pool.connection() as c:
                pool.close()
                assert await c.table("t").row(b"k") == row(b"k"), "leased ones are closed when they come back"
            assert len(pool) == 0
            with pytest.raises(fastpool.PoolClosed):
                await ask(pool)
            pool = pool_to(plain_server)
            async with pool.connection() as c:
                await pool.close(timeout=0)
                with pytest.raises(fastpool.LeaseError):
                    await c.tables()

        runner.run(main())
        runner.run(pool_to(plain_server).close())  # `close` returns a coroutine
        with pytest.raises(RuntimeError, match="already"):
            closing = pool_to(plain_server).close()
            runner.run(closing)
            runner.run(closing)
    assert "was not closed" not in caplog.text


@pytest.mark.skipif(bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="without the GIL no pool is freed")
def test_a_pool_that_was_not_closed_complains(plain_server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    pool = pool_to(plain_server)
    del pool
    gc.collect()
    assert "was not closed!" in caplog.text


def test_importing_fastpool_stays_light() -> None:
    code = "import sys, fastpool; assert not {'asyncio', 'aiohappybase', 'thriftpy2'} & set(sys.modules); fastpool.aio"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; assert 'pkg_resources' not in sys.modules and 'happybase' not in sys.modules"],
        env={"PYTHONPATH": ":".join(p for p in sys.path if p)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
