"""An application around one pool, as a module that servers import: its answer to a row says how the row was read.

``FASTPOOL_TEST_HBASE`` is the port of a server with the rows of `_rows.serve`.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import fastpool

SIZE = 3
pool = fastpool.ConnectionPool(
    SIZE, host="127.0.0.1", port=int(os.environ["FASTPOOL_TEST_HBASE"]), timeout=10_000, checkout_timeout=15
)
in_use: Counter[int] = Counter()  # requests at this moment, by descriptor: a lost += would only hide a fault


def ask(number: int, through: fastpool.ConnectionPool = pool) -> dict[str, Any]:
    """One row; the process and connection that read it, how many used that connection meanwhile, and the importing
    process."""
    with through.connection() as connection:
        descriptor = through.driver.fileno(connection)
        in_use[descriptor] += 1
        sharers, at_once = in_use[descriptor], sum(in_use.values())
        row = connection.table("t").row(b"row-%d" % number)
        in_use[descriptor] -= 1
        with socket.socket(fileno=os.dup(descriptor)) as same:
            port = same.getsockname()[1]
    said = {"row": row[b"f:a"].decode(), "pid": os.getpid(), "port": port, "sharers": sharers, "at_once": at_once}
    return {**said, "imported": imported}


imported: dict[str, Any] | None = None
imported = ask(0)  # opened at import: with a server that preloads, in the parent of all its workers


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """WSGI: ``/7`` is row 7."""
    body = json.dumps(ask(int(environ["PATH_INFO"].strip("/")))).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
