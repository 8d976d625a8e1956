"""Pooling http.client's connections: several servers, an answer that is not found, a server that hangs up.

python examples/http_client.py /index.html 127.0.0.1:8000 127.0.0.1:8001
"""

import sys
from http.client import HTTPConnection
from typing import Any

import fastpool


class NotFound(Exception):
    """The server has no such page. The response was read completely, so the connection can be used again."""


def connect(server: tuple[str, int], timeout: float | None = None) -> HTTPConnection:
    # `timeout` is the rest of this checkout's time: a server that hangs costs its caller no more than that
    host, port = server
    connection = HTTPConnection(host, port, timeout=timeout)
    connection.connect()
    connection.sock.settimeout(10)  # from here on the limit of requests
    return connection


def descriptor(connection: HTTPConnection) -> int:
    # http.client closes its socket after a response that said "Connection: close"; then there is no descriptor, and the
    # pool replaces a connection for which this raises
    return connection.sock.fileno()


def open_pool(servers: list[str], **options: Any) -> fastpool.Pool[HTTPConnection]:
    return fastpool.Pool(
        connect,
        fileno=descriptor,
        keep_on=NotFound,
        servers=servers,
        max_size=4,
        idle_timeout=30,
        **options,
    )


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
