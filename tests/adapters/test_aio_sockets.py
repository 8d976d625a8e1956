"""A task's call sends and receives what it can without its loop, and waits for the rest."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from fastpool.adapters._thrift.codec import codec
from fastpool.testing import HBaseServer

from ._aio import aio, run

pytestmark = pytest.mark.skipif(codec is None, reason="the codec was not built, or is turned off")


def test_what_a_full_socket_does_not_take_is_left() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        assert codec.send_now(ours, b"all") is None
        message = bytes(range(256)) * 100_000
        left = codec.send_now(ours, message)
        assert left is not None and 0 < len(left) < len(message) and message.endswith(left)
        assert codec.send_now(ours, left) == left, "nothing was taken"


@pytest.mark.parametrize("timeout", [None, 15_000])
def test_a_value_larger_than_the_socket_takes_arrives_whole(timeout: int | None) -> None:
    value = bytes(range(256)) * 40_000  # 10 MB

    async def main(server: HBaseServer) -> None:
        async with aio.ConnectionPool(1, host=server.host, port=server.port, timeout=timeout) as pool:
            async with pool.connection() as connection:
                await connection.create_table("t", {"f": {}})
                table = connection.table("t")
                await table.put(b"large", {b"f:v": value})
                assert await table.row(b"large") == {b"f:v": value}
                assert [row async for row in table.scan()] == [(b"large", {b"f:v": value})]
                assert connection.client._channel.buffer_size <= 1 << 20
            assert pool.stats().connects == 1

    with HBaseServer() as server:
        run(main(server))


def test_a_loop_that_cannot_watch_descriptors_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio's loop for Windows has sock_recv() and no add_reader()."""
    refused = []

    async def main(server: HBaseServer) -> None:
        async with aio.ConnectionPool(1, host=server.host, port=server.port) as pool:
            async with pool.connection() as connection:
                await connection.create_table("t", {"f": {}})
                await connection.table("t").put(b"k", {b"f:a": b"v"})

                def add_reader(*args: Any) -> None:
                    refused.append(args)
                    raise NotImplementedError

                server.delay = 0.05  # so that the reply is not there before the wait
                with monkeypatch.context() as patch:
                    patch.setattr(asyncio.get_running_loop(), "add_reader", add_reader)
                    assert await connection.table("t").row(b"k") == {b"f:a": b"v"}

    with HBaseServer() as server:
        run(main(server))
    assert refused
