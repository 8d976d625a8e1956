"""Servers, proxies and clients for the tests of fastpool.testing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("happybase")

import happybase

from fastpool.testing import FaultProxy, HBaseServer

WIRES = [(protocol, transport) for protocol in ("binary", "compact") for transport in ("buffered", "framed")]
Connect = Callable[..., happybase.Connection]


@pytest.fixture
def server() -> Iterator[HBaseServer]:
    """A running server, binary and buffered, with the table `t` (family `f`)."""
    with HBaseServer() as server:
        connection = happybase.Connection(server.host, server.port)
        connection.create_table("t", {"f": {}})
        connection.close()
        assert server.wait_connections(0)
        yield server


@pytest.fixture
def proxy(server: HBaseServer) -> Iterator[FaultProxy]:
    """A proxy before `server`."""
    with FaultProxy(server) as proxy:
        yield proxy


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect happybase to anything with host and port; all are closed after the test."""
    made: list[happybase.Connection] = []

    def connect(to: HBaseServer | FaultProxy, **options: object) -> happybase.Connection:
        connection = happybase.Connection(to.host, to.port, **{"timeout": 5000, **options})
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        connection.close()


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Runs blocking calls in threads."""
    with ThreadPoolExecutor(8) as background:
        yield background
