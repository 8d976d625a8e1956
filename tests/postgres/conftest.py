"""A real PostgreSQL server for each module; the tests are skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.pool.real_servers import postgres

pytest.importorskip("psycopg")


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A PostgreSQL server of this module's own."""
    with postgres() as running:
        yield running


@pytest.fixture
def dsn(server: Any) -> str:
    """The connection string of its superuser."""
    return server.dsn  # type: ignore[no-any-return]
