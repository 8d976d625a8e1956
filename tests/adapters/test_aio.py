"""The guarded connection of fastpool.aio: no caller gets another's reply, and nothing is usable after its return."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("happybase")
from Hbase_thrift import AlreadyExists
from thriftpy2.thrift import TApplicationException

import fastpool
from fastpool.testing import HBaseServer

from ._aio import WITHIN_S, Late, aiohappybase, ask, pool_to, run
from ._scripted import Call, ScriptedServer, row


def test_the_reply_of_an_interrupted_call_reaches_no_other_caller(server: ScriptedServer) -> None:
    async def main() -> None:
        pool = pool_to(server)
        server.script = late = Late(b"first")
        await late.interrupted(pool)
        assert await ask(pool, b"other") == row(b"other")
        assert await ask(pool, b"first") == row(b"first")
        assert pool.stats().closed["error"] == 1
        await pool.close()

    run(main())


def test_aiohappybases_pool_does_which_is_why_this_one_exists(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(plain_server, kind=aiohappybase.ConnectionPool) as pool:
            plain_server.script = late = Late(b"first")
            await late.interrupted(pool)
            assert await ask(pool, b"other") == row(b"first")

    run(main())


@pytest.mark.parametrize("limit", ["wait_for", "timeout", "socket"])
def test_a_call_that_took_too_long_costs_its_connection(plain_server: ScriptedServer, limit: str) -> None:
    async def main() -> None:
        async with pool_to(plain_server, timeout=1000 * WITHIN_S) as pool:
            assert await ask(pool) == row(b"k")
            plain_server.script = late = Late(b"first")
            with pytest.raises(TimeoutError):
                if limit == "wait_for":
                    await asyncio.wait_for(ask(pool, b"first"), 0.05)
                elif limit == "timeout":
                    async with asyncio.timeout(0.05):
                        await ask(pool, b"first")
                else:
                    async with pool.connection() as c:
                        c.client._socket._limit = 0.05  # the socket timeout, in this block only
                        await c.table("t").row(b"first")
            late.go.set()
            assert await ask(pool, b"other") == row(b"other")
            assert pool.stats().closed["error"] == 1

    run(main())


@pytest.mark.parametrize("wrong", ["seqid", "name", "extra"])
def test_a_reply_to_something_else_is_refused(server: ScriptedServer, wrong: str) -> None:
    def script(call: Call) -> None:
        good = call.stream.good(call)
        if wrong == "seqid":
            good = call.stream.good(call, seqid=call.seqid - 1)
        elif wrong == "name":
            good = call.stream.good(call, name="getRow")
        else:
            good += good
        call.stream.send(good)

    async def main() -> None:
        async with pool_to(server) as pool:
            server.script = script
            if wrong == "extra":
                assert await ask(pool) == row(b"k")
            else:
                with pytest.raises(TApplicationException) as caught:
                    await ask(pool)
                expected = {"seqid": "BAD_SEQUENCE_ID", "name": "WRONG_METHOD_NAME"}[wrong]
                assert caught.value.type == getattr(TApplicationException, expected)
            server.script = None
            assert await ask(pool, b"other") == row(b"other")
            assert pool.stats().closed["desync"] == 1 and len(server.accepted) == 2

    run(main())


def test_sequence_ids_grow(server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(server) as pool:
            for _ in range(3):
                await ask(pool)
            first, second, third = server.accepted[0].seqids
            assert (second, third) == (first + 1, first + 2)

    run(main())


def test_errors_that_hbase_declares_cost_nothing(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with pool_to(hbase) as pool:
            async with pool.connection() as c:
                await c.create_table("t", {"cf": {}})
            with pytest.raises(AlreadyExists):
                async with pool.connection() as c:
                    await c.create_table("t", {"cf": {}})
            with pytest.raises(FileNotFoundError):
                async with pool.connection() as c:
                    raise FileNotFoundError("the application's own")
            with pytest.raises(TypeError):
                async with pool.table("t") as table:
                    await table.connection.client.getRow(b"t", object(), {})
            assert await ask(pool) == {}
            assert pool.stats().connects == 1

    run(main())


def test_nothing_is_used_after_its_return(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with pool_to(hbase) as pool:
            async with pool.connection() as c:
                await c.create_table("t", {"cf": {}})
                table = c.table("t")
                async with table.batch() as batch:
                    for i in range(9):
                        await batch.put(b"%d" % i, {b"cf:n": b"v"})
                late_batch = table.batch()
                await late_batch.put(b"late", {b"cf:n": b"v"})
                scans = [table.scan(batch_size=3) for _ in range(2)]
                for scan in scans:
                    await anext(scan)
            other = asyncio.Event()
            taken = asyncio.Event()

            async def hold() -> None:
                async with pool.connection():
                    taken.set()
                    await other.wait()

            holder: asyncio.Task[None] | None = None
            for scan in scans:  # no task holds it, then another task does
                for use in (c.tables, table.families, late_batch.send, lambda scan=scan: anext(scan)):
                    with pytest.raises(fastpool.LeaseError):
                        await use()
                for use in (lambda: c.table("t"), c.close):
                    with pytest.raises(fastpool.LeaseError):
                        use()
                if holder is None:
                    holder = asyncio.create_task(hold())
                    await taken.wait()
            other.set()
            await holder
            async with pool.connection() as again:
                assert again is c
                for use in (table.families, late_batch.send):  # made under an earlier lease of the same task
                    with pytest.raises(fastpool.LeaseError):
                        await use()
                assert await again.tables() == [b"t"]
            async with pool.table("t") as table:
                assert [key async for key, _ in table.scan()] == [b"%d" % i for i in range(9)]
            assert pool.stats().connects == 1

    run(main())


def test_a_connection_that_was_replaced_cannot_be_used(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with pool_to(hbase) as pool:
            async with pool.connection() as c:
                pool.clear()
            async with pool.connection() as successor:
                assert successor is not c
                for use in (c.tables, c.open):
                    with pytest.raises(fastpool.LeaseError, match="replaced"):
                        await use()
                await successor.tables()

    run(main())


def test_a_helper_task_may_use_what_the_holder_gave_it(plain_server: ScriptedServer) -> None:
    async def main() -> None:
        async with pool_to(plain_server) as pool:
            for _ in range(2):
                async with pool.connection() as c:
                    assert await asyncio.create_task(c.tables()) == [b"t"]
            async with pool.connection() as c:
                plain_server.script = late = Late(b"first")
                first = asyncio.create_task(c.table("t").row(b"first"))
                assert await asyncio.to_thread(late.arrived.wait, WITHIN_S)
                with pytest.raises(fastpool.LeaseError, match="another call on it is under way"):
                    await c.tables()
                late.go.set()
                assert await first == row(b"first"), "the second call did the first no harm"
                assert await c.tables() == [b"t"]
            assert pool.stats().connects == 1

    run(main())


def test_no_scanner_stays_open(hbase: HBaseServer) -> None:
    async def main() -> None:
        async with pool_to(hbase) as pool:
            async with pool.connection() as c:
                await c.create_table("t", {"cf": {}})
                for i in range(9):
                    await c.table("t").put(b"%d" % i, {b"cf:n": b"v"})
            async with pool.table("t") as table:
                async for _ in table.scan(batch_size=2):
                    break
                scans = [table.scan(batch_size=2) for _ in range(3)]
                for scan in scans:
                    await anext(scan)
                assert hbase.open_scanners >= 3
            assert hbase.open_scanners == 0
            with pytest.raises(ValueError, match="mine"):
                async with pool.table("t") as table:
                    await anext(table.scan(batch_size=2))
                    raise ValueError("mine")
            assert await ask(pool) == {}
            assert pool.stats().connects == 2, "no I/O in the caller's error path: it went with its scanner"
            by_hand = await pool.checkout()
            await anext(by_hand.table("t").scan(batch_size=2))
            pool.checkin(by_hand)
            assert await ask(pool) == {}, "which waited until that scanner was closed"
            assert pool.stats().connects == 2

    run(main())
