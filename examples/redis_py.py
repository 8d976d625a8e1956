"""Pooling redis-py's clients, each with one connection of its own, instead of using redis-py's pool.

python examples/redis_py.py 127.0.0.1:6379
"""

import sys
from typing import Any

import redis

import fastpool


def open_pool(servers: list[str], **options: Any) -> fastpool.Pool[redis.Redis]:
    driver = fastpool.drivers.Redis(decode_responses=True)
    return fastpool.Pool(driver=driver, servers=servers, max_size=4, **options)


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
