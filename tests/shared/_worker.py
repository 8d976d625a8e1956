"""A process that takes part in a shared name, told line by line what to evaluate. It ends when its input does."""

from __future__ import annotations

import gc  # noqa: F401 - for what it is told
import json
import os
import socket
import sys
import threading
import time

import fastpool

PORT = int(sys.argv[1])
held: list[object] = []
pool: fastpool.Pool = None  # type: ignore[assignment]


def connect(server: tuple[str, int] | None = None) -> socket.socket:
    """Connect to a CountingServer; its greeting says that it has counted the connection."""
    c = socket.create_connection(("127.0.0.1", PORT if server is None else server[1]))
    assert c.recv(1) == b"+"
    return c


def make(**options: object) -> fastpool.Pool:
    """A pool of the shared name."""
    return fastpool.Pool(
        connect, **{"shared": "tested", "max_size": 8, "timeout": 20.0, "max_connecting": 8, **options}
    )


def take(timeout: float | None = 20.0) -> float:
    """Check one out and keep it; the seconds that this took."""
    began = time.monotonic()
    held.append(pool.checkout(timeout=timeout))
    return time.monotonic() - began


def give() -> None:
    """Return the one checked out first."""
    pool.checkin(held.pop(0))


def later(what: str) -> threading.Thread:
    """Evaluate it in a thread of its own; the name gives its outcome."""
    thread = threading.Thread(target=lambda: outcomes.append(outcome(what)), daemon=True)
    thread.start()
    return thread


def outcome(what: str) -> object:
    """The value of the expression, or the error that it raises."""
    try:
        return eval(what, globals())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


outcomes: list[object] = []
if __name__ == "__main__":
    for line in sys.stdin:
        try:
            exec(compile(json.loads(line), "told", "exec"), globals())
            answer: object = globals().pop("answer", None)
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer, default=repr), flush=True)
    os._exit(0)
