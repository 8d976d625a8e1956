"""redis-py's own tests of its pools pass on the drop-ins, except those that look inside of redis-py's."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("redis")

from tests.pool.real_servers import redis_server

from . import upstream_redis
from .sdist import Outcome

pytestmark = pytest.mark.timeout(300)

# By test: why it cannot pass.
KEEPS_CLOSED = "counts a connection that was closed as one that is idle; the drop-in has forgotten it"
PATCHES = "replaces functions and lists inside of redis-py's pool, and counts their calls"
INSIDE = {
    "test_on_connect_error": KEEPS_CLOSED,
    "test_busy_loading_from_pipeline": KEEPS_CLOSED,
}
INSIDE_ASYNC = {
    "test_on_connect_error": KEEPS_CLOSED,
    "test_busy_loading_from_pipeline[single]": KEEPS_CLOSED,
    "test_busy_loading_from_pipeline[pool]": KEEPS_CLOSED,
    "test_auto_release_override_true_manual_created_pool[single]": KEEPS_CLOSED,
    "test_auto_release_override_true_manual_created_pool[pool]": KEEPS_CLOSED,
    "test_connection_pool_records_create_time_on_new_connection": PATCHES,
    "test_blocking_connection_pool_records_create_time_and_wait_time": PATCHES,
    "test_blocking_connection_pool_records_only_wait_time_for_existing_connection": PATCHES,
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with redis_server(None, "--enable-debug-command", "yes") as address:
        yield address


def run(folder: Path, files: tuple[str, ...], address: str, fault: str = "", without: Iterable[str] = ()) -> Outcome:
    installed = importlib.metadata.version("redis")
    if installed != upstream_redis.SUITE.version:
        pytest.skip(f"the suite is that of redis-py {upstream_redis.SUITE.version}, and {installed} is installed")
    try:
        return upstream_redis.run(folder, files, address, fault, without)
    except RuntimeError as error:
        pytest.skip(str(error))


# They wait for half a second for a message, which a busy machine may not deliver: with `make test-redis`.
OF_HALF_A_SECOND = [f"test_health_check_in_pubsub_{when}" for when in ("before_subscribe", "after_subscribed", "poll")]


def test_the_suite_for_threads_passes(tmp_path: Path, address: str) -> None:
    outcome = run(tmp_path, upstream_redis.SYNC, address, without=[*INSIDE, *OF_HALF_A_SECOND])
    assert outcome.failed == [] and len(outcome.passed) >= 85, outcome.output


@pytest.mark.redis
def test_the_suite_for_asyncio_passes(tmp_path: Path, address: str) -> None:
    outcome = run(tmp_path, upstream_redis.ASYNC, address, without=INSIDE_ASYNC)
    assert outcome.failed == [] and len(outcome.passed) >= 100, outcome.output


@pytest.mark.redis
@pytest.mark.parametrize(
    ("files", "inside"),
    [(upstream_redis.SYNC, INSIDE), (upstream_redis.ASYNC, INSIDE_ASYNC)],
    ids=["threads", "asyncio"],
)
def test_the_tests_left_out_are_few_and_fail(
    tmp_path: Path, address: str, files: tuple[str, ...], inside: dict[str, str]
) -> None:
    outcome = run(tmp_path, files, address)
    assert sorted(outcome.failed) == sorted(inside), outcome.output
    assert len(inside) <= 0.1 * len(outcome.passed)


@pytest.mark.redis
def test_the_suite_notices_a_broken_pool(tmp_path: Path, address: str) -> None:
    outcome = run(tmp_path, upstream_redis.SYNC, address, fault="get_connection")
    assert {"test_connection_creation", "test_multiple_connections"} <= set(outcome.failed)
