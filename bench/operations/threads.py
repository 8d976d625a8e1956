"""Eight threads on eight connections, a row of ten columns each: operations per second, beside happybase's.

The server is a process of its own that answers with a recorded reply, compiled and without the GIL, so that it is the
clients that are measured.
"""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import happybase

import fastpool
from tests.adapters._recorded import Replies

from .canned import canned_module

THREADS = 8
TABLE = b"operations"


def _serve(listener: socket.socket, recorded: Replies) -> None:
    module = canned_module()
    replies = module.Replies(recorded, False)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(module, connection, replies), daemon=True).start()


def _answer(module: Any, connection: socket.socket, replies: Any) -> None:
    module.serve(connection.fileno(), replies)
    connection.close()


@contextmanager
def canned_server(recorded: Replies) -> Iterator[tuple[str, int]]:
    """A server of these replies, binary and buffered, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        process = multiprocessing.get_context("spawn").Process(target=_serve, args=(listener, recorded), daemon=True)
        process.start()
        try:
            yield listener.getsockname()
        finally:
            process.kill()
            process.join()


def rows_per_s(pool: Any, seconds: float) -> float:
    """Rows that THREADS threads read in a second."""
    over = time.monotonic() + seconds
    counts: list[int] = []

    def work() -> None:
        done = 0
        while time.monotonic() < over:
            with pool.connection() as connection:
                connection.table(TABLE).row(b"row-10")
            done += 1
        counts.append(done)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - begin)


def compared(recorded: Replies, turns: int, seconds: float) -> tuple[float, float]:
    """The most rows a second of happybase's pool and of ours, which take turns."""
    with canned_server(recorded) as (host, port):
        theirs = happybase.ConnectionPool(THREADS, host=host, port=port)
        ours = fastpool.ConnectionPool(THREADS, host=host, port=port)
        for pool in (theirs, ours):
            rows_per_s(pool, seconds / 4)
        found = [(rows_per_s(theirs, seconds), rows_per_s(ours, seconds)) for _ in range(turns)]
        ours.close()
    return max(a for a, _ in found), max(b for _, b in found)
