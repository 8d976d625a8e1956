"""Threads that hold a gateway's connection and wait for another one: which is served, and which gets PoolDeadlock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import fastpool
from fastpool.adapters.happybase import gateway_choice

from ._gateways import TABLE, WITHIN_S, Gateways, eventually, held, needs_addresses, three_gateways

pytestmark = needs_addresses


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    with three_gateways() as made:
        yield made


def test_a_nested_block_shares_what_its_owner_has_before_it_waits_for_ever(gateways: Gateways) -> None:
    """Two threads, each with the connection that the other one would like."""
    barrier = threading.Barrier(2)

    def cross(row: str, other: str) -> int:
        with pool.connection(TABLE, row):
            barrier.wait(WITHIN_S)
            with pool.connection(TABLE, other) as inner:
                number = gateways.number(inner)
                barrier.wait(WITHIN_S)
                return number

    with gateways.pool(1) as pool, held(pool, "q", 1), ThreadPoolExecutor(2) as threads:
        results = [threads.submit(cross, "a", "h"), threads.submit(cross, "h", "a")]
        assert [result.result(WITHIN_S) for result in results] == [0, 1]


def test_without_nesting_a_block_inside_takes_another_connection(gateways: Gateways) -> None:
    with gateways.pool(1, nested=False) as pool, pool.connection(TABLE, "a") as outer:
        with pool.connection(TABLE, "a") as inner:
            assert inner is not outer
            with pool.connection(TABLE, "a"):
                with pytest.raises(fastpool.PoolDeadlock), pool.connection(TABLE, "a"):
                    raise AssertionError("there was a fourth connection")


def test_a_holder_that_can_still_go_to_another_gateway_is_no_part_of_a_deadlock(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_choice, "PATIENCE_S", 1.0)
    holds, done = threading.Barrier(2), threading.Event()

    def first() -> int:  # holds gateway 0, waits for 1, then goes to 2
        with pool.connection(TABLE, "a"):
            holds.wait(WITHIN_S)
            with pool.connection(TABLE, "h") as inner:
                number = gateways.number(inner)
                done.set()
                return number

    def second() -> bool:  # holds gateway 1, and waits in the line
        with pool.connection(TABLE, "h"):
            holds.wait(WITHIN_S)
            eventually(lambda: pool.pools[1].stats().waiting or done.is_set(), "the other thread waits for gateway 1")
            with pool.connection(TABLE, "q"):
                return done.is_set()

    with gateways.pool(1, nested=False) as pool, ThreadPoolExecutor(2) as threads:
        pool.locate(TABLE, "a")
        results = [threads.submit(first), threads.submit(second)]
        assert [result.result(WITHIN_S) for result in results] == [2, True]
