"""redis-py's pools and the drop-ins for them, by hand as redis-py's client uses them, on sockets without a server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import repeat
from typing import Any

from .candidates import Address, Candidate
from .ratios import Cycles

DROP_IN = "fastpool.adapters.redis"


@contextmanager
def _build(module: str, kind: str, size: int, address: Address | None) -> Iterator[Cycles]:
    """Real connections of redis-py's, which both pools look at before each checkout; only nobody answers."""
    others = []

    class Unanswered(import_module("redis").Connection):  # type: ignore[misc]
        def _connect(self) -> socket.socket:
            mine, other = socket.socketpair()
            others.append(other)
            return mine

    pool = getattr(import_module(module), kind)(
        connection_class=Unanswered,
        max_connections=size,
        redis_connect_func=lambda c: c._parser.on_connect(c),  # no handshake
    )

    def cycles(n: int) -> None:
        get, release = pool.get_connection, pool.release
        for _ in repeat(None, n):
            release(get())

    cycles(1)
    yield cycles
    pool.disconnect()
    for other in others:
        other.close()


def _pair(kind: str) -> tuple[Candidate, Candidate]:
    ours: Any = partial(_build, DROP_IN, kind)
    theirs: Any = partial(_build, "redis", kind)
    return (
        Candidate(f"{DROP_IN} {kind}", "fastpool", "redis", ours),
        Candidate(f"redis-py {kind}, real connections", "redis", "redis", theirs),
    )


PAIRS = (_pair("ConnectionPool"), _pair("BlockingConnectionPool"))
"""(ours, theirs)."""
