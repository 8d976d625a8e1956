"""Servers and guarded connections for the adapters' tests."""

from __future__ import annotations

import contextlib
import gc
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("happybase")

from fastpool.testing import HBaseServer

from ._cassandra import KEYSPACE, FakeCassandra, Story
from ._held import Held
from ._scripted import ScriptedServer

WIRES = [(t, p) for t in ("buffered", "framed") for p in ("binary", "compact")]


@pytest.fixture(params=WIRES, ids="-".join)
def server(request: pytest.FixtureRequest) -> Iterator[ScriptedServer]:
    """A scripted server, once for each transport and protocol."""
    server = ScriptedServer(*request.param)
    yield server
    server.close()


@pytest.fixture
def plain_server() -> Iterator[ScriptedServer]:
    """A scripted server, buffered and binary."""
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def held(server: ScriptedServer) -> Iterator[Held]:
    """A leased connection to ``server``."""
    held = Held(server, timeout=5000)
    yield held
    held.end()


@pytest.fixture
def plain(plain_server: ScriptedServer) -> Iterator[Held]:
    """A leased connection to ``plain_server``."""
    held = Held(plain_server, timeout=5000)
    yield held
    held.end()


@pytest.fixture
def hbase() -> Iterator[HBaseServer]:
    """An HBase in memory, buffered and binary."""
    with HBaseServer() as server:
        yield server


@pytest.fixture
def closed_port() -> Iterator[Callable[[], int]]:
    """Gives ports of which each refuses, and is nobody else's, until the test is over."""
    with contextlib.ExitStack() as bound:

        def closed_port() -> int:
            sock = bound.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
            return port

        yield closed_port


@pytest.fixture(params=["aiohappybase", "fastpool"])
def kind(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The pool of aiohappybase, and ours."""
    from ._aio import aio, aiohappybase

    theirs = request.param == "aiohappybase"
    yield (aiohappybase if theirs else aio).ConnectionPool
    if theirs:
        gc.collect()  # it leaves connections open, which complain when they are collected: here, where it is known of


@pytest.fixture
def cassandra() -> Iterator[FakeCassandra]:
    """A Cassandra in memory."""
    with FakeCassandra() as server:
        yield server


@pytest.fixture
def story() -> Story:
    """A listener that notes pycassa's events."""
    return Story()


@pytest.fixture
def make_pool(cassandra: FakeCassandra, story: Story) -> Iterator[Callable[..., Any]]:
    """Makes pycassa's pools for `cassandra`, to which `story` listens; they are closed when the test is over."""
    from fastpool.adapters.pycassa import ConnectionPool

    with contextlib.ExitStack() as made:

        def make_pool(**arguments: Any) -> Any:
            arguments = {"timeout": 10, "listeners": [story], "server_list": [cassandra.address], **arguments}
            pool = ConnectionPool(KEYSPACE, **arguments)
            made.callback(pool.close)
            return pool

        yield make_pool
