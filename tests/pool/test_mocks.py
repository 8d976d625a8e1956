"""unittest.mock patches a method of one pool: people test their own code so."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any
from unittest import mock

import pytest

import fastpool
import fastpool.aio


class Connection:
    def close(self) -> None: ...


POOLS = {
    "Pool": lambda: fastpool.Pool(Connection),
    "AsyncPool": lambda: fastpool.AsyncPool(Connection),
    "ConnectionPool": lambda: fastpool.ConnectionPool(1, open=False),
    "aio.ConnectionPool": lambda: fastpool.aio.ConnectionPool(1),
}


async def awaited(answer: Any) -> Any:
    return await answer


METHODS = ("connection", "aconnection", "checkout", "checkin", "open", "close", "stats", "leases")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", POOLS)
def test_a_method_of_one_pool_is_patched_and_the_patch_leaves_no_trace(kind: str, method: str) -> None:
    pool: Any = POOLS[kind]()
    other: Any = POOLS[kind]()
    before = getattr(pool, method)
    with mock.patch.object(pool, method) as patched:
        answer = getattr(pool, method)("argument")
        if inspect.iscoroutine(answer):  # mock puts an AsyncMock in a coroutine function's place
            answer = asyncio.run(awaited(answer))
        assert answer is patched.return_value
        patched.assert_called_once_with("argument")
        assert not isinstance(getattr(other, method), mock.Mock), "the patch is on one pool only"
    assert getattr(pool, method) == before
    assert not vars(pool)


def test_a_block_of_a_patched_pool_has_what_the_test_wants() -> None:
    pool = fastpool.Pool(Connection)
    stand_in = object()
    with mock.patch.object(pool, "connection") as connection:
        connection.return_value.__enter__.return_value = stand_in
        with pool.connection(timeout=1) as c:
            assert c is stand_in
        connection.assert_called_once_with(timeout=1)
    assert len(pool) == 0
    with pool.connection() as c:
        assert isinstance(c, Connection)
    pool.close()
