"""Fixtures for all groups: the server, the candidates, and the notes beside each figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fastpool._cli.compare.candidates import CONNECTION_POOL, FLOOR, HAPPYBASE, POOL, STUBBED, Candidate
from fastpool._cli.compare.findings import environment
from fastpool._cli.compare.load import served

EVERYBODY = (FLOOR, POOL, CONNECTION_POOL, HAPPYBASE, *STUBBED)


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """An HBase Thrift server in a process of its own, with the table of the load."""
    with served() as running:
        yield running


@pytest.fixture(params=EVERYBODY, ids=lambda candidate: candidate.name)
def candidate(request: pytest.FixtureRequest) -> Candidate:
    """Each of the pools in turn; those that are not installed are skipped."""
    return there(request.param)


@pytest.fixture(params=(CONNECTION_POOL, HAPPYBASE), ids=lambda candidate: candidate.name)
def thrift_candidate(request: pytest.FixtureRequest) -> Candidate:
    """happybase's pool and ours."""
    return there(request.param)


def there(candidate: Candidate) -> Candidate:
    if missing := candidate.missing():
        pytest.skip(f"{candidate.name}: {missing}")
    return candidate


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    machine_info["fastpool"] = environment()
