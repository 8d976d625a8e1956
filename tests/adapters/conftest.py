"""Servers and guarded connections for the adapters' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("happybase")

from fastpool.testing import HBaseServer

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
