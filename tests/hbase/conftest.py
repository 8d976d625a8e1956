"""One real HBase for the whole session, and a Thrift gateway for each configuration that a test asks for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import happybase  # before Hbase_thrift, which this makes importable
import pytest

from tools.hbase.cluster import Cluster, Gateway, GatewayConfig, Unavailable

START_S = 300  # the first time Maven brings in HBase's jars
LIVES_S = 900.0
TABLE = "fastpool_tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/tests/hbase/" in item.path.as_posix():
            item.add_marker(pytest.mark.hbase)
            item.add_marker(pytest.mark.timeout(START_S))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running cluster. With FASTPOOL_HBASE=required (as CI sets it) its absence is an error, not a skip."""
    try:
        made = Cluster(LIVES_S)
    except Unavailable as error:
        if os.environ.get("FASTPOOL_HBASE") == "required":
            raise
        pytest.skip(str(error))
    with made:
        yield made


def first_call(gateway: Gateway) -> None:
    """Make a gateway's first call, which takes seconds, so that later calls can have short timeouts."""
    connection = happybase.Connection(
        gateway.host,
        gateway.port,
        transport="framed" if gateway.config.framed else "buffered",
        protocol="compact" if gateway.config.compact else "binary",
    )
    try:
        connection.tables()
    finally:
        connection.close()


@pytest.fixture(scope="session")
def gateway_of(cluster: Cluster) -> Callable[..., Gateway]:
    """The gateway with these settings, started when first asked for."""
    made: dict[GatewayConfig, Gateway] = {}

    def gateway_of(**settings: object) -> Gateway:
        config = GatewayConfig(**settings)  # type: ignore[arg-type]
        if config not in made:
            made[config] = cluster.gateway(config)
            if not config.https:  # happybase knows no HTTP
                first_call(made[config])
        return made[config]

    return gateway_of


@pytest.fixture(scope="session")
def table(gateway_of: Callable[..., Gateway]) -> Iterator[str]:
    """The name of an empty table with the column family `f`."""
    gateway = gateway_of()
    with contextlib.closing(happybase.Connection(gateway.host, gateway.port)) as connection:
        connection.create_table(TABLE, {"f": {}})
    yield TABLE
    # by a new connection: the gateway hangs up on one that is silent for a minute
    with contextlib.closing(happybase.Connection(gateway.host, gateway.port)) as connection:
        connection.delete_table(TABLE, disable=True)
