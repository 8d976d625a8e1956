"""socketpool's pool, poodle's, and the drop-ins for them: each on the same connections, used as its page shows it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import repeat
from typing import Any

from .candidates import Address, Build, Candidate, with_connection
from .ratios import Cycles
from .stubs import Stub


class StubConnector:
    """A connector that is always connected and matches everything."""

    def __init__(self, **options: Any) -> None:
        self._life = time.time()

    def matches(self, **options: Any) -> bool:
        return True

    def is_connected(self) -> bool:
        return True

    def handle_exception(self, exception: Exception) -> None:
        pass

    def get_lifetime(self) -> float:
        return self._life

    def invalidate(self) -> None:
        pass


@contextmanager
def _on_stubs(module: str, size: int, address: Address | None) -> Iterator[Cycles]:
    # without its reaper, whose thread socketpool 0.5.3 cannot start on Python 3.9 and later
    pool = import_module(module).ConnectionPool(StubConnector, max_size=size, reap_connections=False)
    with with_connection(pool) as cycles:
        yield cycles
    pool.release_all()


@contextmanager
def _on_sockets(module: str, size: int, address: Address | None) -> Iterator[Cycles]:
    package = import_module(module)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        pool = package.ConnectionPool(
            package.TcpConnector, max_size=size, options={"host": host, "port": port}, reap_connections=False
        )
        with with_connection(pool) as cycles:
            yield cycles
        pool.release_all()


@contextmanager
def _poodle(size: int, address: Address | None) -> Iterator[Cycles]:
    with import_module("fastpool.adapters.poodle").Pool(Stub, min=size) as pool:

        def cycles(n: int) -> None:
            for _ in repeat(None, n):
                with pool.get():
                    pass

        cycles(1)
        yield cycles


class OfAPage(Candidate):
    """A pool that exists only as a listing on a web page, for Python 2."""

    def missing(self) -> str | None:
        """Why it cannot take part."""
        return "only printed on its author's page, for Python 2; there is no package of it"


def _pair(where: str, build: Any) -> tuple[Candidate, Candidate]:
    drop_in = "fastpool.adapters.socketpool"
    ours: Build = partial(build, drop_in)
    theirs: Build = partial(build, "socketpool")
    return (
        Candidate(f"{drop_in}, {where}", "fastpool", "fastpool._core", ours),
        Candidate(f"socketpool, {where}", "socketpool", "socketpool", theirs, blocks=False),
    )


PAIRS = (
    _pair("its TcpConnector", _on_sockets),
    _pair("connectors that cost nothing", _on_stubs),
    (
        Candidate("fastpool.adapters.poodle", "fastpool", "fastpool._core", _poodle),
        OfAPage("poodle", None, "", _poodle),
    ),
)
"""(ours, theirs)."""
