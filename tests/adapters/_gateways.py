"""Three gateways to one in-memory HBase, on three loopback addresses, and a table with a region beside each."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

import happybase
import pytest

from fastpool.adapters.happybase import RegionPool
from fastpool.testing import HBaseServer
from tests.concurrency._told import eventually as in_time

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
TABLE = "t"
ROWS = {"a": 0, "h": 1, "q": 2}  # a row of each region, and the number of its gateway
WITHIN_S = 20.0
needs_addresses = pytest.mark.skipif(sys.platform == "darwin", reason="loopback has one address only")


class Gateways:
    """The three gateways. Region 0 has the rows below g, 1 those below p, 2 the rest."""

    def __init__(self, servers: list[HBaseServer]) -> None:
        self.servers = servers
        self.addresses = [(server.host, server.port) for server in servers]
        connection = happybase.Connection(*self.addresses[0])
        connection.create_table(TABLE, {"f": {}})
        connection.close()
        servers[0].split_region(TABLE, "g")
        servers[0].split_region(TABLE, "p")
        for row, number in ROWS.items():
            self.move(row, number)

    def move(self, row: str, number: int) -> None:
        """Move the region of a row beside another gateway."""
        self.servers[0].move_region(TABLE, row, HOSTS[number])

    def pool(self, size: int = 2, **options: object) -> RegionPool:
        return RegionPool(size, self.addresses, **options)  # type: ignore[arg-type]

    def number(self, connection: happybase.Connection) -> int:
        """Which gateway a connection leads to."""
        return self.addresses.index((connection.host, connection.port))

    def used(self, pool: RegionPool, row: str | None = None, **options: object) -> int:
        """Which gateway a block is given."""
        with pool.connection(None if row is None else TABLE, row, **options) as connection:  # type: ignore[arg-type]
            return self.number(connection)

    def looks(self) -> int:
        """How often a gateway was asked for the regions of a table."""
        return sum(server.calls["getTableRegions"] for server in self.servers)


@contextlib.contextmanager
def three_gateways() -> Iterator[Gateways]:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(HBaseServer(HOSTS[0]))
        others = [stack.enter_context(HBaseServer(host, gateway_to=first)) for host in HOSTS[1:]]
        yield Gateways([first, *others])


def eventually(true: Callable[[], object], what: str) -> None:
    """Wait until something is true."""
    assert in_time(true, WITHIN_S), f"not within {WITHIN_S} s: {what}"


@contextlib.contextmanager
def held(pool: RegionPool, row: str | None, count: int) -> Iterator[Callable[[], None]]:
    """``count`` connections beside a row, held by other threads until the block ends, or the given call is made."""
    over, barrier = threading.Event(), threading.Barrier(count + 1)

    def hold() -> None:
        with pool.connection(TABLE if row else None, row):
            barrier.wait(WITHIN_S)
            over.wait(WITHIN_S)

    threads = [threading.Thread(target=hold) for _ in range(count)]
    for thread in threads:
        thread.start()
    barrier.wait(WITHIN_S)
    try:
        yield over.set
    finally:
        over.set()
        for thread in threads:
            thread.join(WITHIN_S)
