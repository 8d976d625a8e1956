"""HAProxy before three gateways: what docs/servers.md says of it, tried."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from thriftpy2.transport import TTransportException

import fastpool
from fastpool.testing import HBaseServer

from ._gateways import TABLE, WITHIN_S, Gateways, eventually, needs_addresses, three_gateways
from ._haproxy import HAProxy, haproxy
from ._settle import wait_until_readable

pytestmark = [pytest.mark.haproxy, needs_addresses]


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    with three_gateways() as made:
        yield made


def pool_at(proxy: HAProxy, size: int, **options: Any) -> fastpool.ConnectionPool:
    return fastpool.ConnectionPool(size, host=proxy.host, port=proxy.port, nested=False, **options)


def tables(pool: fastpool.ConnectionPool) -> None:
    with pool.connection(timeout=WITHIN_S) as connection:
        assert connection.tables() == [TABLE.encode()]


def answers(pool: fastpool.ConnectionPool) -> bool:
    """Whether a call is answered: on a loaded machine HAProxy may end a connection that it has just taken."""
    try:
        tables(pool)
    except TTransportException:
        return False
    return True


def use(pool: fastpool.ConnectionPool, count: int) -> list[int]:
    """Use so many connections at the same time."""
    every: list[Any] = []
    try:
        for _ in range(count):
            every.append(pool.checkout(timeout=WITHIN_S))
            every[-1].tables()
    finally:
        for c in every:
            pool.checkin(c)
    return [id(c) for c in every]


def served(server: HBaseServer) -> int:
    """How many connections a gateway has; its health checks come and go."""
    return server.connections_open


def settle(gateways: Gateways, *counts: int) -> None:
    """Wait until the gateways have so many connections."""
    eventually(lambda: tuple(map(served, gateways.servers)) == counts, f"{counts} connections")


# Health


def test_a_gateway_that_is_killed_is_left_out_and_comes_back(gateways: Gateways) -> None:
    with haproxy(gateways.addresses) as proxy, pool_at(proxy, 6, check_after=0) as pool:
        use(pool, 6)
        settle(gateways, 2, 2, 2)
        gateways.servers[0].stop()
        proxy.wait_up(1, 2)
        eventually(lambda: use(pool, 6), "six connections to the two that are left")
        settle(gateways, 0, 3, 3)
        stats = pool.stats()
        assert stats.closed["dead"] + stats.closed["error"] >= 2 and stats.size == 6
        gateways.servers[0].start()
        proxy.wait_up(0, 1, 2)
        with pool_at(proxy, 2) as fresh:
            use(fresh, 2)
            settle(gateways, 2, 3, 3)


def test_a_gateway_that_dies_before_a_check_costs_the_calls_in_flight_only(gateways: Gateways) -> None:
    """Between a gateway's death and the check that notices it, HAProxy closes what it cannot connect."""
    with haproxy(gateways.addresses, inter="500ms") as proxy, pool_at(proxy, 3, check_after=0) as pool:
        use(pool, 3)
        gateways.servers[0].stop()
        end = time.monotonic() + WITHIN_S
        while 0 in proxy.up() and time.monotonic() < end:
            try:
                use(pool, 3)
            except TTransportException:
                continue
        use(pool, 3)
        assert pool.stats().size == 3


# Draining


def test_a_drain_ends_with_max_lifetime_and_not_without(gateways: Gateways) -> None:
    first = gateways.servers[0]
    with haproxy(gateways.addresses, inter="60s") as proxy:  # a check is a connection, too
        with pool_at(proxy, 3) as lasting:
            use(lasting, 3)
            eventually(lambda: sum(map(served, gateways.servers)) == 3, "three are open")
            stays = served(first)
            with pool_at(proxy, 3, max_lifetime=0.4, check_after=0) as renewed:
                use(renewed, 3)
                proxy.state(0, "drain")
                eventually(lambda: use(renewed, 3) and served(first) == stays, "the renewed pool leaves")
                use(lasting, 3)
                assert served(first) == stays, "the lasting one stays"
                lasting.clear("gateway 0 is drained")
                use(lasting, 3)
                eventually(lambda: served(first) == 0, "it is empty")
                proxy.state(0, "ready")
                eventually(lambda: use(renewed, 3) and served(first) > 0, "the renewed pool comes back")


# A cap over many hosts


def test_maxconn_caps_what_all_pools_together_open(gateways: Gateways) -> None:
    """Two pools stand for two hosts. The cap is 3 × 2; they would like 2 × 5.

    HAProxy's own figures count: a gateway may notice that a connection has ended after the next one has begun.
    """

    def work(pool: fastpool.ConnectionPool) -> int:
        for _ in range(30):
            tables(pool)
        return 30

    # The checks take connections of their own, which the gateways count, too: none while this runs.
    options = {"timeout": 10_000, "idle_timeout": 0.1}
    with haproxy(gateways.addresses, maxconn=2, queue="10s", inter="60s") as proxy:
        with pool_at(proxy, 5, **options) as here, pool_at(proxy, 5, **options) as there:
            with ThreadPoolExecutor(10) as threads:
                done = sum(threads.map(work, [here, there] * 5))
        most = [int(row["smax"]) for row in proxy.servers().values()]
    assert done == 300
    assert most == [2, 2, 2], f"connections at the same time: {most}"


def test_beyond_maxconn_the_connect_succeeds_and_the_first_call_fails(gateways: Gateways) -> None:
    """Behind HAProxy an open connection need not lead anywhere yet, which a pool must know."""
    with haproxy(gateways.addresses[:1], maxconn=1, queue="2s", inter="60s") as proxy:
        with pool_at(proxy, 1, timeout=10_000) as first:
            # It keeps the place with an idle connection. The second pool connects afterwards, or it might be first.
            eventually(lambda: answers(first), "the first pool has the one place")
            began = time.monotonic()
            with pool_at(proxy, 1, timeout=10_000) as second:
                with pytest.raises(TTransportException, match="read 0 bytes"):
                    tables(second)
                assert 1.5 <= time.monotonic() - began < 9
                assert (second.stats().connects, second.stats().connect_errors) == (1, 0)
                first.clear("to make room")
                eventually(lambda: proxy.servers()[0]["scur"] == "0", "the place is free")
                tables(second)


def test_idle_connections_give_their_place_up_with_idle_timeout(gateways: Gateways) -> None:
    with haproxy(gateways.addresses[:1], maxconn=1, queue="10s", inter="60s") as proxy:
        with pool_at(proxy, 1, timeout=10_000, idle_timeout=0.2) as first:
            tables(first)
            with pool_at(proxy, 1, timeout=10_000) as second:
                began = time.monotonic()
                tables(second)
                assert time.monotonic() - began < 8


# Timeouts


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_connection_that_the_proxy_closed_is_replaced_before_the_block_runs(gateways: Gateways, side: str) -> None:
    # 1.5 s are well above the default `check_after`: a connection used more recently is handed out unchecked
    with haproxy(gateways.addresses, **{side: "1500ms"}) as proxy, pool_at(proxy, 1) as pool:
        with pool.connection(timeout=WITHIN_S) as c:
            assert c.tables() == [TABLE.encode()]
            idle = c.transport.sock
        wait_until_readable(idle)
        tables(pool)
        assert pool.stats().closed["dead"] == 1


def test_keepalive_below_the_proxys_timeouts_keeps_a_connection(gateways: Gateways) -> None:
    with haproxy(gateways.addresses, client="2s", server="2s") as proxy, pool_at(proxy, 1, keepalive=0.4) as pool:
        tables(pool)
        time.sleep(4)
        tables(pool)
        assert (pool.stats().connects, pool.stats().closed["dead"]) == (1, 0)


def test_idle_timeout_below_the_proxys_timeouts_closes_first(gateways: Gateways) -> None:
    with haproxy(gateways.addresses, client="5s", server="5s") as proxy, pool_at(proxy, 1, idle_timeout=0.3) as pool:
        tables(pool)
        eventually(lambda: len(pool) == 0, "it is closed by the pool")
        assert pool.stats().closed["idle"] == 1
        tables(pool)


def test_a_call_longer_than_the_proxys_timeout_is_cut_and_the_pool_recovers(gateways: Gateways) -> None:
    with haproxy(gateways.addresses, server="400ms") as proxy, pool_at(proxy, 1) as pool:
        for server in gateways.servers:
            server.slow("getTableNames", 1.2)
        began = time.monotonic()
        with pytest.raises(TTransportException, match="read 0 bytes"):
            tables(pool)
        assert time.monotonic() - began < 10
        for server in gateways.servers:
            server.slow("getTableNames", 0)
        tables(pool)


def test_a_gateway_does_not_understand_the_proxy_protocol(gateways: Gateways) -> None:
    """``send-proxy`` puts a line of HAProxy's own before the first call, which is no Thrift."""
    with haproxy(gateways.addresses, more="send-proxy") as proxy, pool_at(proxy, 1, timeout=2000) as pool:
        with pytest.raises((TTransportException, TimeoutError)):
            tables(pool)


# Balance


def test_leastconn_counts_connections_and_ours_counts_leases(gateways: Gateways) -> None:
    """One gateway is slow. HAProxy has given it as many connections as the others, and calls follow connections."""

    def shares(block: Any) -> Counter[int]:
        before = [server.calls["getTableNames"] for server in gateways.servers]
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(lambda _: [block() for _ in range(25)], range(6)))
        return Counter({n: server.calls["getTableNames"] - before[n] for n, server in enumerate(gateways.servers)})

    gateways.servers[0].slow("getTableNames", 0.03)
    for server in gateways.servers[1:]:
        server.slow("getTableNames", 0.002)
    with haproxy(gateways.addresses) as proxy, pool_at(proxy, 12) as pool:
        use(pool, 12)
        settle(gateways, 4, 4, 4)
        behind = shares(lambda: tables(pool))

    with gateways.pool(4) as pool_of_ours:
        pool_of_ours.warm()

        def block() -> None:
            with pool_of_ours.connection() as connection:
                connection.tables()

        ours = shares(block)
    print(f"\ncalls at the slow gateway: {behind[0]} of 150 behind leastconn, {ours[0]} of 150 by least leased")
    assert sum(behind.values()) == sum(ours.values()) == 150
    assert 0 < ours[0] < 75


def test_with_all_gateways_down_it_is_the_first_call_that_fails(gateways: Gateways) -> None:
    """HAProxy takes the connection and ends it: the pool's own back-off never sees a refusal."""
    with haproxy(gateways.addresses) as proxy, pool_at(proxy, 2, timeout=5000, check_after=0) as pool:
        tables(pool)
        for server in gateways.servers:
            server.stop()
        proxy.wait_up()
        for _ in range(3):
            with pytest.raises(TTransportException, match=r"read 0 bytes|Connection reset|Broken pipe"):
                tables(pool)
        assert pool.stats().connect_errors == 0 and pool.stats().leased == 0


def test_a_hung_gateway_is_left_by_its_check_and_its_connections_are_ended(gateways: Gateways) -> None:
    """``on-marked-down shutdown-sessions``: without it a caller would wait for its own socket timeout."""
    with haproxy(gateways.addresses[:1]) as proxy, pool_at(proxy, 1, timeout=60_000) as pool:
        tables(pool)
        with gateways.servers[0].hold("getTableNames") as hold, ThreadPoolExecutor(1) as background:
            call = background.submit(tables, pool)
            assert hold.entered.wait(WITHIN_S)
            began = time.monotonic()
            proxy.ask("set server gateways/gateway0 health down")
            with pytest.raises(TTransportException):
                call.result(WITHIN_S)
            assert time.monotonic() - began < WITHIN_S
