"""max_idle, where a checkin looks only at a flag that says whether more connections are open than may be idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

import fastpool
from fastpool._cli.compare.stubs import Stub


@contextmanager
def by_hand(pool: Any) -> Iterator[Any]:
    c = pool.checkout()
    try:
        yield c
    finally:
        pool.checkin(c)


WAYS = pytest.mark.parametrize("way", [by_hand, lambda pool: pool.connection()], ids=["by hand", "blocks"])
Way = Callable[[Any], Any]


def use(pool: Any, way: Way, n: int) -> int:
    """Have ``n`` connections out at once, and return how many stay open when all have come back."""
    with ExitStack() as held:
        for _ in range(n):
            held.enter_context(way(pool))
    return len(pool)


@WAYS
@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_what_is_more_than_max_idle_is_closed_as_it_comes_back(way: Way, most: int) -> None:
    with fastpool.Pool(Stub, max_size=4, max_idle=most, order="fifo") as pool:
        for n in (1, 2, 4, 3, 1, 4, 2):
            open_before = len(pool)
            assert use(pool, way, n) == min(max(n, open_before), most)
        assert pool.stats().closed["max_idle"] == pool.stats().connects - most


@WAYS
def test_a_smaller_max_idle_counts_from_the_next_checkin_on(way: Way) -> None:
    with fastpool.Pool(Stub, max_size=4, max_idle=4) as pool:
        assert use(pool, way, 3) == 3
        pool.resize(max_idle=1)
        assert use(pool, way, 2) == 1
        pool.resize(max_idle=3)
        assert use(pool, way, 4) == 3


@WAYS
def test_a_connection_opened_ahead_counts_as_well(way: Way) -> None:
    with fastpool.Pool(Stub, max_size=4, max_idle=2) as pool, way(pool), way(pool):
        assert pool.warm(3) == 3
        assert pool.stats().idle == 1
    assert pool.stats().closed["max_idle"] == 1
