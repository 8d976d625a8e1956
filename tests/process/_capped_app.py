"""An application whose workers share a cap, for servers to import: it holds connections, and counts checkouts.

``FASTPOOL_TEST_PORT`` is the port of a server that counts the connections that are open at each moment.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import fastpool
from tests.shared import _party

NAME, CAP, SIZE = "capped", 10, 4
PORT = int(os.environ["FASTPOOL_TEST_PORT"])


def connect() -> socket.socket:
    return _party.connect(PORT)


pool = fastpool.Pool(connect, max_size=SIZE, max_connecting=SIZE, timeout=30, shared=NAME, shared_max=CAP)


def work(seconds: float, threads: int = 1) -> dict[str, Any]:
    """Check out, use and return connections for so many seconds; the process, and how often that was."""
    counts = [0] * threads
    until = time.monotonic() + seconds

    def one(number: int) -> None:
        while time.monotonic() < until:
            with pool.connection() as c:
                c.sendall(b"?")
                assert c.recv(1) == b"?"
                time.sleep(0.002)
            counts[number] += 1

    helpers = [threading.Thread(target=one, args=(number,)) for number in range(1, threads)]
    for helper in helpers:
        helper.start()
    one(0)
    for helper in helpers:
        helper.join()
    return {"pid": os.getpid(), "checkouts": sum(counts)}


def hold(seconds: float) -> dict[str, Any]:
    """Hold as many connections as this process may have; a file says so."""
    held = [pool.checkout() for _ in range(SIZE)]
    (Path(os.environ["FASTPOOL_TEST_FOLDER"]) / f"{os.getpid()}.holds").touch()
    time.sleep(seconds)
    for c in held:
        pool.checkin(c)
    return {"pid": os.getpid(), "checkouts": SIZE}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI: ``/work?seconds=1`` or ``/hold?seconds=60``."""
    seconds = float(parse_qs(environ["QUERY_STRING"]).get("seconds", ["0"])[0])
    said = (work if environ["PATH_INFO"] == "/work" else hold)(seconds)
    body = json.dumps(said).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
