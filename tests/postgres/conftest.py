"""A real PostgreSQL server for these tests; they are skipped where it is not installed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pool.real_servers import postgres

pytest.importorskip("psycopg")

from ._both import Tasks, Threads


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """A PostgreSQL server, which these tests may stop and start."""
    with postgres(max_prepared_transactions=4) as running:
        yield running


@pytest.fixture
def dsn(server: Any) -> str:
    """The connection string of its superuser."""
    return server.dsn  # type: ignore[no-any-return]


@pytest.fixture(params=[Threads, Tasks], ids=["threads", "tasks"])
def way(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The threads' pools, and then the tasks'."""
    way = request.param()
    yield way
    way.end()


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The warnings of the pools' logger."""
    caplog.set_level(logging.WARNING, logger="psycopg.pool")
    return caplog
