"""Pooling http.client's connections: several servers, an answer that is not found, a server that hangs up.

python examples/http_client.py /index.html 127.0.0.1:8000 127.0.0.1:8001
"""

import sys
from http.client import HTTPConnection
from typing import Any

import fastpool


class NotFound(Exception):
    """The server has no such page. The response was read completely, so the connection can be used again."""


def open_pool(servers: list[str], **options: Any) -> fastpool.Pool[HTTPConnection]:
    driver = fastpool.drivers.HTTP(timeout=10)
    return fastpool.Pool(driver=driver, servers=servers, max_size=4, idle_timeout=30, **options)


def get(pool: fastpool.Pool[HTTPConnection], path: str) -> str:
    """The page's text; NotFound, or an error of http.client's, after which the connection is not used again."""
    with pool.connection(timeout=5) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()  # to the end, or the next request could not be sent
        if response.status == 404:
            raise NotFound(path)
        return body.decode()


def main(path: str, *servers: str) -> None:
    with open_pool(list(servers)) as pool:
        for _ in range(4):
            print(get(pool, path).strip())
        print(pool)


if __name__ == "__main__":
    main(*sys.argv[1:])
