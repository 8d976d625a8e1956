"""A pool for the workers of Dask, Ray and PySpark, and tasks that use it: one pool for each worker process.

``FASTPOOL_TEST_PORT`` is the port of a server that counts connections and answers each byte with the same.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import fastpool
from tests.shared import _party

NAME, CAP = "shop", 5
TASKS = 200


def connect() -> socket.socket:
    return _party.connect(int(os.environ["FASTPOOL_TEST_PORT"]))


# Made once in each process that imports this module, and without a connection before the first task uses it.
pool = fastpool.Pool(connect, name="shop", max_size=4, max_connecting=4, timeout=60, shared=NAME, shared_max=CAP)


def ask(through: fastpool.Pool[socket.socket], number: int) -> dict[str, Any]:
    """Send this number to the server, over a connection of its own; what came back, and from which process."""
    with through.connection() as c:
        c.sendall(bytes([number % 256]))
        time.sleep(0.005)
        got = c.recv(16)
    return {"number": number, "got": list(got), "pid": os.getpid(), "pool": through._id}


def task(number: int) -> dict[str, Any]:
    """A task that uses the pool of the module."""
    return ask(pool, number)


def captured(made: fastpool.Pool[socket.socket]) -> Any:
    """A task with a pool in its closure, which arrives as one pool in each process."""
    return lambda number: ask(made, number)


def dying(number: int, flag: str) -> dict[str, Any]:
    """A task of which one kills its worker while it holds a connection, the first time that it runs."""
    if number == TASKS // 2:
        with pool.connection():
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
    return task(number)


def flag_in(folder: str) -> str:
    return str(Path(folder) / "died")
