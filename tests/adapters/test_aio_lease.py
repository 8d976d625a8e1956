"""A task's lease on a guarded connection: which error the caller sees, who may use the lease, and how long."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("happybase")
from Hbase_thrift import Hbase, IllegalArgument
from thriftpy2.transport import TTransportException

import fastpool

from ._aio import WITHIN_S, Late, ask, pool_to, run, whole_after
from ._scripted import Call, ScriptedServer, hang_up, row


def test_the_caller_sees_its_own_error_also_when_the_server_is_gone(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(plain_server) as pool:
            plain_server.script = hang_up
            with pytest.raises(TTransportException, match="TSocket read 0 bytes") as caught:
                async with pool.connection() as c:
                    try:
                        await c.tables()
                    finally:
                        plain_server.close()
            assert caught.value.__context__ is None
            for _ in range(2):
                with pytest.raises(TTransportException, match="Could not connect to"):
                    async with pool.connection():
                        raise AssertionError("not reached")

    run(main())


def test_one_replacement_for_one_failure(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(plain_server, "error") as pool:
            plain_server.script = hang_up
            with pytest.raises(TTransportException):
                async with pool.connection(), pool.connection(), pool.connection() as c:
                    await c.tables()

    run(main())


def test_a_block_may_be_left_in_another_task_or_thread(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(plain_server, None) as pool:
            for _ in range(3):
                block = pool.connection()
                c = await block.__aenter__()
                await c.tables()
                await asyncio.create_task(block.__aexit__(None, None, None))
                with pytest.raises(fastpool.LeaseError):
                    await c.tables()
                by_hand = await pool.checkout()
                await asyncio.to_thread(pool.checkin, by_hand)

    run(main())


def test_two_tasks_with_one_connection_by_mistake(server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(server, None) as pool, pool.connection() as c:
            server.script = late = Late(b"first")
            first = asyncio.create_task(c.table("t").row(b"first"))
            assert await asyncio.to_thread(late.arrived.wait, WITHIN_S)
            calls = len(server.calls)
            for use in (c.tables, c.close, lambda: c.table("t")):
                with pytest.raises(fastpool.LeaseError, match="another call on it is under way"):
                    await use()
            assert len(server.calls) == calls, "nothing of theirs was sent"
            late.go.set()
            assert await first == row(b"first")

    run(main())


def test_used_after_it_was_taken_away_under_a_call(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        pool = pool_to(plain_server)
        plain_server.script = late = Late(b"mine")
        task = asyncio.create_task(ask(pool, b"mine"))
        assert await asyncio.to_thread(late.arrived.wait, WITHIN_S)
        await pool.close(timeout=0)
        with pytest.raises(TTransportException):
            await task
        late.go.set()
        assert len(pool) == 0

    run(main())


def test_a_table_a_batch_and_a_scan_of_an_earlier_lease_send_nothing(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(plain_server, None) as pool:
            async with pool.connection() as c:
                table, batch = c.table("t"), c.table("t").batch()
                await batch.put(b"r", {b"cf:a": b"v"})
                scan, client, call = table.scan(batch_size=10), c.client, c.client.getTableNames
                await anext(scan)
            assert plain_server.calls[-1] == "scannerClose"
            calls = len(plain_server.calls)
            async with pool.connection() as again:  # a later lease of the same task
                assert again is c
                for use in (
                    lambda: table.row(b"r"),
                    lambda: table.rows([b"r"]),
                    lambda: table.cells(b"r", b"cf:a"),
                    lambda: table.put(b"r", {b"cf:a": b"v"}),
                    lambda: table.delete(b"r", [b"cf:a"]),
                    lambda: table.counter_inc(b"r", b"cf:a"),
                    table.families,
                    table.regions,
                    batch.send,
                    lambda: anext(table.scan()),
                    lambda: anext(scan),
                ):
                    with pytest.raises(fastpool.LeaseError):
                        await use()
                assert len(plain_server.calls) == calls
            for use in (client.getTableNames, call, lambda: client._req("getTableNames")):
                with pytest.raises(fastpool.LeaseError):
                    await use()
            for close in (client.close, c.close):
                with pytest.raises(fastpool.LeaseError):
                    close()
            assert len(plain_server.calls) == calls

    run(main())


def test_scanners_that_cannot_be_closed(plain_server: ScriptedServer) -> None:
    expired = Hbase.scannerClose_result(ia=IllegalArgument(b"scanner ID is invalid"))

    def unknown(call: Call) -> None:
        if call.name == "scannerClose":
            call.stream.send(call.stream.encode(call.name, call.seqid, expired))
        else:
            call.stream.send(call.stream.good(call))

    def hang_up_then(call: Call) -> None:
        if call.name == "scannerClose":
            raise OSError
        call.stream.send(call.stream.good(call))

    async def main() -> None:
        for script, reason in ((unknown, None), (hang_up_then, "error")):
            plain_server.accepted.clear()
            async with whole_after(plain_server, reason) as pool:
                plain_server.script = script
                async with pool.table("t") as table:
                    await anext(table.scan(batch_size=3))

    run(main())


def test_a_scan_that_is_collected_says_nothing(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(plain_server, None) as pool:
            async with pool.connection() as c:
                scan = c.table("t").scan(batch_size=10)
                await anext(scan)
                del scan  # its loop closes it, in a task of its own
                for _ in range(5):
                    await asyncio.sleep(0)
                assert "scannerClose" not in plain_server.calls
                await c.tables()
            assert plain_server.calls.count("scannerClose") == 1, "by the checkin"

    run(main())


def test_there_is_more_than_aiohappybase_has(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(plain_server, 3, name="hbase") as pool:
            async with pool.connection():
                assert repr(pool) == "<fastpool.ConnectionPool 'hbase' 1 leased, 0 idle, 0 waiting, max 3>"
                (lease,) = pool.leases()
                assert lease.slot == 0 and pool.stats().leased == 1
            assert await pool.warm() == 3 == len(pool)
            pool.clear()
            assert len(pool) == 0
            pool.resize(max_size=1)
            assert await ask(pool) == row(b"k")
        assert pool.closed
        with pytest.raises(fastpool.PoolClosed):
            await ask(pool)
        for name in ("_queue", "_acquire_connection", "_return_connection"):
            assert not hasattr(pool, name)

    run(main())


def test_no_time_is_enough_for_what_is_free(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with whole_after(plain_server, None) as pool:
            for _ in range(3):
                assert await ask(pool, timeout=0) == row(b"k")

    run(main())
