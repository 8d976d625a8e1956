"""fork: the child never writes to, shuts down or closes connections of the parent, and works at once."""

from __future__ import annotations

import os

import pytest

from ._forking import forking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

# The ways in which the child leaves: each runs another set of finalizers on the parent's connections.
EXITS = {
    "os._exit": "os._exit(0)",
    "sys.exit": "sys.exit(0)",
    "exception": "sys.stderr = open(os.devnull, 'w'); raise ValueError",
    "end of program": "pass",
    "closing the pool": "pool.close(); os._exit(0)",
    "dropping the pool": "del pool; gc.collect(); os._exit(0)",
    "dropping all and exiting": "pool = server = None; gc.collect(); sys.exit(0)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
    "KeyboardInterrupt": "sys.stderr = open(os.devnull, 'w'); signal.raise_signal(signal.SIGINT)",
    "a signal in a block": """
    with pool.connection(timeout=5) as c:
        c.ask("child")
        os.kill(os.getpid(), signal.SIGTERM)
""",
}
CODES = {"exception": 1, "SIGTERM": -15, "SIGKILL": -9, "KeyboardInterrupt": -2, "a signal in a block": -15}


@pytest.mark.parametrize("uses", [True, False], ids=["uses-it", "never-uses-it"])
@pytest.mark.parametrize("way", EXITS)
def test_idle_connections_survive_every_way_out_of_the_child(way: str, uses: bool) -> None:
    forking(
        f"""
pool = pool_on(server)
pool.warm(3)
pid = os.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if {uses}:
        work_at_once(pool)
    {EXITS[way]}
else:
    ended_well(pid, code={CODES.get(way, 0)})
    untouched(server, me, 3)
    held = [pool.checkout() for _ in range(3)]
    for c in held:
        c.ask("parent")
        pool.checkin(c)
    assert len(pool) == 3 and pool.stats().connects == 3, pool.stats()
    assert len(server.heard) == 3 + {uses or way == "a signal in a block"}
    pool.close()
"""
    )


@pytest.mark.parametrize("uses", [True, False], ids=["uses-it", "never-uses-it"])
def test_a_block_open_across_the_fork_ends_in_both(uses: bool) -> None:
    forking(
        f"""
pool = pool_on(server, nested=True)
with pool.connection() as c:
    c.ask("parent")
    pid = os.fork()
    if pid == 0 and {uses}:
        with pool.connection() as mine:
            assert mine is not c, "nested in the child, but the lease is the parent's"
            mine.ask("child")
if pid == 0:
    if {uses}:
        work_at_once(pool)
        assert len(pool) == 1, pool
    c = None
    sys.exit(0)
ended_well(pid)
untouched(server, me, 1)
with pool.connection() as again:
    assert again is c
    c.ask("parent")
assert pool.stats().connects == 1
"""
    )


def test_checked_out_by_hand_in_the_parent_and_given_back_in_the_child() -> None:
    forking(
        """
pool = pool_on(server)
c, other = pool.checkout(), pool.checkout()

def child():
    work_at_once(pool)
    pool.checkin(c)
    pool.checkin(other, discard=True)
    work_at_once(pool)
    assert len(pool) == 1

ended_well(in_child(child))
untouched(server, me, 2)
c.ask("parent")
other.ask("parent")
pool.checkin(c)
pool.checkin(other)
assert pool.stats().idle == 2
"""
    )


def test_abandon_is_called_once_for_each_inherited_connection() -> None:
    forking(
        """
import fastpool

class Driver(fastpool.Driver):
    def __init__(self):
        self.abandoned = []
    def connect(self, server_address, timeout):
        from _wire import Client
        return Client(server.address)
    def abandon(self, c):
        self.abandoned.append(c)

driver = Driver()
pool = fastpool.Pool(driver=driver, max_size=4, nested=True)
pool.warm(2)
with pool.connection() as held, pool.connection():
    pid = os.fork()
    if pid == 0:
        assert driver.abandoned == []
        work_at_once(pool)
        assert len(driver.abandoned) == 1 and held not in driver.abandoned
if pid == 0:
    assert len(driver.abandoned) == 2 and driver.abandoned[1] is held, driver.abandoned
    sys.exit(0)
assert driver.abandoned == []
ended_well(pid)
untouched(server, me, 2)
"""
    )


def test_grandchildren() -> None:
    forking(
        """
pool = pool_on(server)
pool.warm(2)

def child():
    with pool.connection() as c:
        c.ask("child")
        ended_well(in_child(lambda: work_at_once(pool)))
        c.ask("child")
    ended_well(in_child(lambda: ended_well(in_child(lambda: work_at_once(pool)))))
    with pool.connection() as again:
        assert again is c
        c.ask("child")

ended_well(in_child(child))
untouched(server, me, 2)
assert len(server.heard) == 5
"""
    )


def test_two_hundred_forks_in_a_row() -> None:
    forking(
        """
pool = pool_on(server)
c = pool.checkout()
for n in range(200):
    ended_well(in_child(lambda: work_at_once(pool)))
    c.ask("parent")
pool.checkin(c)
untouched(server, me, 1)
assert pool.stats().connects == 1 and len(server.heard) == 201
""",
        seconds=55,
    )


def test_two_hundred_generations_down() -> None:
    forking(
        """
pool = pool_on(server)
depth = 0
work_at_once(pool)
while depth < 200:
    pid = os.fork()
    if pid:
        ended_well(pid, 50)
        with pool.connection() as c:
            c.ask("after the child")
        break
    depth += 1
    work_at_once(pool)
if os.getpid() != me:
    os._exit(0)
""",
        seconds=55,
    )


def test_the_drop_in_for_happybase() -> None:
    pytest.importorskip("happybase")
    forking(
        """
import fastpool, fastpool.testing
hbase = fastpool.testing.HBaseServer()
hbase.start()
pool = fastpool.ConnectionPool(3, host=hbase.host, port=hbase.port, timeout=5000)
with pool.connection() as c:
    c.create_table("t", {"f": {}})
    table = c.table("t")
    table.put(b"row", {b"f:a": b"1"})
    assert table.row(b"row") == {b"f:a": b"1"}
    for way in ("os._exit", "sys.exit", "close"):
        pid = os.fork()
        if pid == 0:
            with pool.connection(timeout=5) as mine:
                assert mine.table("t").row(b"row") == {b"f:a": b"1"}
            if way == "close":
                pool.close()
            if way == "os._exit":
                os._exit(0)
            break
        ended_well(pid)
        assert table.row(b"row") == {b"f:a": b"1"}
if os.getpid() != me:
    del pool, c, table
    gc.collect()
    os._exit(0) if way == "close" else sys.exit(0)
with pool.connection() as again:
    assert again is c and again.table("t").row(b"row") == {b"f:a": b"1"}
assert pool.stats().connects == 1
hbase.stop()
"""
    )


def test_a_pool_of_coroutines() -> None:
    forking(
        """
import asyncio, fastpool

async def connect():
    return await asyncio.open_connection(*server.address)

async def ask(pool):
    async with pool.connection() as (reader, writer):
        line = b"%d hello\\n" % os.getpid()
        writer.write(line)
        assert await reader.readline() == line

pool = fastpool.AsyncPool(connect, close=lambda c: c[1].close(), max_size=2)
with asyncio.Runner() as runner:
    runner.run(ask(pool))
    ended_well(in_child(lambda: asyncio.run(ask(pool))))
    untouched(server, me, 1)
    runner.run(ask(pool))
    assert pool.stats().connects == 1
    runner.run(pool.close())
"""
    )


@pytest.mark.parametrize("made", ["HBaseServer()", "HBaseServer(process=True)", "FaultProxy(HBaseServer().start())"])
def test_a_child_that_leaves_the_block_of_a_server_for_tests(made: str) -> None:
    pytest.importorskip("happybase")
    forking(
        f"""
import happybase
from fastpool.testing import FaultProxy, HBaseServer
with {made} as server:
    connection = happybase.Connection(server.host, server.port, timeout=5000)
    connection.create_table("t", {{"f": {{}}}})
    pid = os.fork()
    if pid:
        ended_well(pid, code=3)
        assert connection.tables() == [b"t"]
        happybase.Connection(server.host, server.port, timeout=5000).close()
        connection.close()
if pid == 0:
    os._exit(3)  # past happybase's own finalizers, which would shut the connection down
"""
    )
