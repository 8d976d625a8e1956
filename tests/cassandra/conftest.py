"""Real Cassandra for the whole session: each kind of cluster that a test asks for is started once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.cassandra.cluster import Cluster, Config, Unavailable

START_S = 300  # the first time Maven brings in Cassandra's jars
LIVES_S = 900.0


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these modules alone when their tests are not asked for.

    cassandra-driver imports eventlet where that is installed, and the threads of the pools are not listed in a process
    that has imported it: tests of other folders look for them.
    """
    return True if "not cassandra" in config.getoption("markexpr") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/cassandra/" in item.path.as_posix():
            item.add_marker(pytest.mark.cassandra)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(START_S))


@pytest.fixture(scope="session")
def cluster_of() -> Iterator[Callable[..., Cluster]]:
    """Give the cluster of these `Config` fields, started when it is first asked for.

    A test that stops or kills one of its nodes starts it again. FASTPOOL_CASSANDRA=required (as CI sets it) makes
    Cassandra's absence an error, not a skip.
    """
    made: dict[Config, Cluster] = {}
    with contextlib.ExitStack() as running:

        def cluster_of(**fields: object) -> Cluster:
            config = Config(**fields)  # type: ignore[arg-type]
            if config not in made:
                try:
                    made[config] = running.enter_context(Cluster(config, LIVES_S))
                except Unavailable as error:
                    if os.environ.get("FASTPOOL_CASSANDRA") == "required":
                        raise
                    pytest.skip(str(error))
            return made[config]

        yield cluster_of
