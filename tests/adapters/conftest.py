"""Servers and guarded connections for the adapters' tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

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


@pytest.fixture(params=["aiohappybase", "fastpool"])
def kind(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The pool of aiohappybase, and ours."""
    from ._aio import aio, aiohappybase

    theirs = request.param == "aiohappybase"
    yield (aiohappybase if theirs else aio).ConnectionPool
    if theirs:
        gc.collect()  # it leaves connections open, which complain when they are collected: here, where it is known of
