"""A real HBase with three region servers, each on a loopback address of its own with a gateway beside it."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import happybase

from fastpool.adapters.happybase import RegionPool
from tools.hbase.cluster import Cluster, Gateway, GatewayConfig

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
TABLE = "three"
LIVES_S = 900.0
REST_S = 20.0


class Call(NamedTuple):
    """One call of a client: when it began, how long its whole block took, for which row, at which gateway."""

    began: float
    seconds: float
    row: str
    host: str | None
    error: Exception | None


class Three:
    """The cluster. The table has a region for rows below g, one below p and one for the rest, one on each host."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        for host in HOSTS[1:]:
            cluster.region_server(host)
        self.gateways = [cluster.gateway(GatewayConfig(host=host), heap="256m") for host in HOSTS]
        self.admin = cluster.admin()
        self.admin.ask("create", TABLE, "f", "g", "p")
        for key, host in zip(("-", "g", "p"), HOSTS, strict=True):
            self.move(key, host)
        for gateway in self.gateways:
            self.first_call(gateway)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(gateway.host, gateway.port) for gateway in self.gateways]

    def move(self, key: str, host: str) -> None:
        """Move the region that has a key to the region server on a host, and wait until it is there."""
        self.admin.ask("move", TABLE, key, host)
        end = time.monotonic() + REST_S
        while self.host_of(key) != host:
            assert time.monotonic() < end, f"{key} is not on {host}: {self.regions()}"
            time.sleep(0.05)

    def split(self, key: str) -> None:
        self.admin.ask("split", TABLE, key)

    def regions(self) -> dict[str, str]:
        """Which host has the region that begins at each key, as HBase's own client says."""
        pairs = (pair.split("=") for pair in self.admin.ask("regions", TABLE).split())
        return {"" if key == "-" else key: host for key, host in pairs}

    def host_of(self, key: str) -> str:
        regions = self.regions()
        return regions[max(start for start in regions if start <= ("" if key == "-" else key))]

    def first_call(self, gateway: Gateway) -> None:
        connection = happybase.Connection(gateway.host, gateway.port)
        for row in ("a", "h", "q"):
            connection.table(TABLE).row(row.encode())
        connection.close()

    def restart(self, number: int) -> None:
        """Start a gateway anew where it was."""
        old = self.gateways[number]
        config = GatewayConfig(host=old.host, port=old.port)
        self.gateways[number] = self.cluster.gateway(config, heap="256m")

    def pool(self, size: int = 4, **options: object) -> RegionPool:
        options = {"refresh": 1.0, "timeout": 10_000, "checkout_timeout": 10.0} | options
        return RegionPool(size, self.addresses, **options)  # type: ignore[arg-type]


class Clients:
    """Threads that read and write rows of all regions until the block ends; ``calls`` is what they did."""

    def __init__(self, block: Callable[[str], contextlib.AbstractContextManager[happybase.Table]], count: int) -> None:
        self.calls: list[Call] = []
        self._block = block
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(seed,)) for seed in range(count)]

    def _work(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self._over.is_set():
            row = rng.choice("adgjmpsvy") + str(rng.randrange(1000))
            began, host, failure = time.monotonic(), None, None
            try:
                with self._block(row) as table:
                    host = table.connection.host
                    if rng.random() < 0.5:
                        table.put(row.encode(), {b"f:q": row.encode()})
                    else:
                        found = table.row(row.encode())
                        assert found in ({}, {b"f:q": row.encode()}), f"row {row} is {found}"
            except Exception as error:
                failure = error
            self.calls.append(Call(began, time.monotonic() - began, row, host, failure))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def since(self, began: float) -> list[Call]:
        return [call for call in self.calls if call.began >= began]


def right(calls: list[Call], regions: dict[str, str]) -> float:
    """The share of calls that went to the gateway on the host that has the row."""
    starts = sorted(regions)
    hits = sum(call.host == regions[max(s for s in starts if s <= call.row)] for call in calls)
    return hits / len(calls)


def settled(calls: list[Call], regions: dict[str, str], since: float) -> float:
    """How many seconds after ``since`` the last call began that went elsewhere."""
    starts = sorted(regions)
    wrong = [call.began for call in calls if call.host != regions[max(s for s in starts if s <= call.row)]]
    return max(wrong, default=since) - since


@contextlib.contextmanager
def three() -> Iterator[Three]:
    """Start it all; raises Unavailable without Java or Maven. Takes about a minute, and 1.5 GB."""
    with Cluster(LIVES_S, heap="512m", host=HOSTS[0]) as cluster:
        yield Three(cluster)
