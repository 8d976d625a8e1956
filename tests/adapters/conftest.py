"""Servers and guarded connections for the adapters' tests."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("happybase")

from fastpool.adapters._thrift.codec import codec
from fastpool.testing import HBaseServer

from ._cassandra import KEYSPACE, FakeCassandra, Story
from ._held import Held
from ._scripted import ScriptedServer
from ._ways import WAYS

WIRES = [(t, p) for t in ("buffered", "framed") for p in ("binary", "compact")]
ENDS = [WIRES[0], WIRES[-1]]
PLAIN = [(*wire, "plain") for wire in WIRES]
EVERY_WAY = [*PLAIN, *((*wire, way) for wire in ENDS for way in WAYS)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of happybase's drop-in run over TLS and over factories of sockets and transports, too."""
    if "server" in metafunc.fixturenames and "server" not in vars(metafunc.module):
        ways = PLAIN if "_aio" in metafunc.module.__name__ else EVERY_WAY
        metafunc.parametrize("server", ways, ids="-".join, indirect=True)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[ScriptedServer]:
    """A scripted server, once for each transport and protocol, and each way to it."""
    transport, protocol, way = request.param
    server = ScriptedServer(transport, protocol) if way == "plain" else WAYS[way](transport, protocol)
    yield server
    server.close()


@pytest.fixture(autouse=True, scope="session")
def refusing() -> None:
    """With FASTPOOL_CODEC=refuse all tests run over a codec that leaves messages at random to thriftpy2."""
    refuse_as_asked()


def refuse_as_asked() -> None:
    """Let the codec refuse as FASTPOOL_CODEC asks."""
    if codec is not None:
        codec.refuse_at_random(0.4 if os.environ.get("FASTPOOL_CODEC") == "refuse" else 0, 1)


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
    """Returns ports that refuse connections, reserved until the test ends."""
    with contextlib.ExitStack() as bound:

        def closed_port() -> int:
            sock = bound.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
            return port

        yield closed_port


@pytest.fixture(params=["aiohappybase", "fastpool"])
def kind(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The ConnectionPool of aiohappybase, and that of fastpool."""
    from ._aio import aio, aiohappybase

    theirs = request.param == "aiohappybase"
    yield (aiohappybase if theirs else aio).ConnectionPool
    if theirs:
        # aiohappybase leaves connections open, which warn when they are collected: collect them where that is filtered
        gc.collect()


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
