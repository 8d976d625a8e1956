"""A pool whose callers open no connection: they wait in line for what it opens in the background."""

from __future__ import annotations

from typing import Any

import pytest

import fastpool

from .fake_driver import Holder, waiting


class Waiting(fastpool.Pool[Any]):
    """A pool whose connections are opened by `open_one` only."""

    callers_connect = False

    def open_one(self) -> bool:
        return self._open_one(-1)


def connect() -> Any:
    return object()


def test_no_caller_connects() -> None:
    with Waiting(connect, max_size=2) as pool:
        with pytest.raises(fastpool.NoConnectionsAvailable), pool.connection(timeout=0.05):
            pass
        assert len(pool) == 0
        assert pool.open_one()
        with pool.connection(timeout=0):
            with pytest.raises(fastpool.NoConnectionsAvailable), pool.connection(timeout=0):
                pass
        assert pool.stats().connects == 1


def test_what_is_opened_goes_to_the_first_in_line() -> None:
    with Waiting(connect, max_size=1) as pool:
        holder = Holder(pool, timeout=20.0)
        waiting(pool, 1)
        assert pool.open_one()
        assert holder.got() is not None
        holder.end()
        assert pool.stats().connects == 1


def test_room_bounds_what_is_opened() -> None:
    with Waiting(connect, max_size=2, max_connecting=1) as pool:
        assert [pool.open_one() for _ in range(3)] == [True, True, False]
        pool.resize(max_size=3)
        assert pool.open_one()
        assert len(pool) == 3
