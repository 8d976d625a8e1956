"""What all groups share: the server, the rivals, and what is noted beside each figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fastpool._cli.compare.findings import environment
from fastpool._cli.compare.load import served
from fastpool._cli.compare.rivals import CONNECTION_POOL, FLOOR, HAPPYBASE, POOL, STUBBED, Candidate

EVERYBODY = (FLOOR, POOL, CONNECTION_POOL, HAPPYBASE, *STUBBED)


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """An HBase Thrift server in a process of its own, with the load's table."""
    with served() as running:
        yield running


@pytest.fixture(params=EVERYBODY, ids=lambda rival: rival.name)
def rival(request: pytest.FixtureRequest) -> Candidate:
    """Each of the pools in turn; those that are not installed are skipped."""
    return there(request.param)


@pytest.fixture(params=(CONNECTION_POOL, HAPPYBASE), ids=lambda rival: rival.name)
def thrift_rival(request: pytest.FixtureRequest) -> Candidate:
    """happybase's pool and ours."""
    return there(request.param)


def there(rival: Candidate) -> Candidate:
    if missing := rival.missing():
        pytest.skip(f"{rival.name}: {missing}")
    return rival


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["fastpool"] = environment()
