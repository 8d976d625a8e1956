"""Pooling redis-py's clients, each with one connection of its own, instead of using redis-py's pool.

python examples/redis_py.py 127.0.0.1:6379
"""

import sys
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import fastpool

Address = tuple[str, int]


def connect(server: Address, timeout: float | None = None) -> redis.Redis:
    host, port = server
    client = redis.Redis(
        host,
        port,
        decode_responses=True,
        single_connection_client=True,
        socket_connect_timeout=timeout,
        socket_timeout=5,
        retry=Retry(NoBackoff(), 0),  # the pool retries, on other servers and later
    )
    client.ping()  # redis-py connects at the first command: send one now, so that a failure is a failed connect
    return client


def reset(client: redis.Redis) -> None:
    # A WATCH that a user left behind would make the next user's transaction fail.
    client.execute_command("UNWATCH")  # type: ignore[no-untyped-call]  # redis-py says nothing of it


def open_pool(servers: list[str], **options: Any) -> fastpool.Pool[redis.Redis]:
    return fastpool.Pool(
        connect,
        reset=reset,
        check=redis.Redis.ping,
        keep_on=(redis.ResponseError, redis.WatchError),  # the server replied, so the connection is intact
        servers=servers,
        max_size=4,
        **options,
    )


def count_view(pool: fastpool.Pool[redis.Redis], page: str) -> int:
    with pool.connection() as client:
        return client.incr(f"visits:{page}")


def main(*servers: str) -> None:
    with open_pool(list(servers)) as pool:
        for _ in range(3):
            print(f"visit {count_view(pool, 'home')} of the home page")
        print(pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
