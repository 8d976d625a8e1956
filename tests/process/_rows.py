"""Rows to ask for, and the checks of all answers, for every server that hosts the application of `_rows_app`."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

ROWS = 60
CLIENTS = 8
SIZE = 3  # of the application's pool


@contextlib.contextmanager
def serve() -> Iterator[Any]:
    """An HBaseServer with the rows, in a process of its own; each reply takes a moment, so that requests overlap."""
    import happybase

    from fastpool.testing import HBaseServer

    with HBaseServer(process=True) as server:
        connection = happybase.Connection(server.host, server.port)
        connection.create_table("t", {"f": {}})
        with connection.table("t").batch() as batch:
            for number in range(ROWS):
                batch.put(b"row-%d" % number, {b"f:a": b"%d" % number})
        connection.close()
        assert server.wait_connections(0)
        server.delay = 0.004
        yield server


def get(address: str, number: int) -> dict[str, Any]:
    """Ask for one row by HTTP."""
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("GET", f"/{number}")
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (response.status, body)
        said: dict[str, Any] = json.loads(body)
        return said
    finally:
        connection.close()


def ask_for_all(ask: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Ask for every row once, several at a time; the answers in order."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(ask, range(ROWS)))


def check(answers: list[dict[str, Any]], *, at_once: bool, preloaded: bool) -> None:
    """Each answer has its own row, alone on its connection, and no connection was used by two processes."""
    assert [one["row"] for one in answers] == [str(number) for number in range(len(answers))]
    assert {one["sharers"] for one in answers} == {1}, "two requests were on one connection at once"
    users: dict[int, set[int]] = {}
    for one in [*answers, *(one["imported"] for one in answers)]:
        users.setdefault(one["port"], set()).add(one["pid"])
    assert [pids for pids in users.values() if len(pids) > 1] == [], "two processes talked on one connection"
    assert len(users) <= SIZE * len(set().union(*users.values())), users
    workers = {one["pid"] for one in answers}
    assert (workers.isdisjoint(one["imported"]["pid"] for one in answers)) is preloaded
    if at_once:
        assert max(one["at_once"] for one in answers) > 1, "the requests never met: this shows nothing"
