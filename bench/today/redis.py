"""redis-py's BlockingConnectionPool and ours: get_connection, PING, release on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import redis

from fastpool.adapters.redis import BlockingConnectionPool
from tests.pool.real_servers import redis_server as server

__all__ = ["NAME", "ours", "server", "theirs"]

NAME = "redis-py BlockingConnectionPool, PING"


class Block:
    """A checkout by hand, as redis-py's client makes one for each command, as a context manager."""

    __slots__ = ("_c", "_pool")

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __enter__(self) -> Callable[[], object]:
        self._c = self._pool.get_connection()
        return self._ping

    def __exit__(self, *ended: object) -> None:
        self._pool.release(self._c)

    def _ping(self) -> object:
        self._c.send_command("PING")
        return self._c.read_response()


@contextmanager
def opened(kind: Any, address: str, size: int) -> Iterator[Callable[[], Block]]:
    host, _, port = address.partition(":")
    pool = kind(size, None, host=host, port=int(port))
    yield partial(Block, pool)
    pool.disconnect()


ours = partial(opened, BlockingConnectionPool)
theirs = partial(opened, redis.BlockingConnectionPool)
