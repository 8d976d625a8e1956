"""aiohappybase's own tests pass against our server, with aiohappybase's pool and with ours in its place."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

pytest.importorskip("happybase")
pytest.importorskip("fastpool.aio", reason="needs aiohappybase", exc_type=ImportError)

from fastpool.testing import HBaseServer

from . import upstream_aio as upstream
from .conftest import WIRES

TURNS = 5
# On free-threaded builds a pool is never freed (decision 16), so an unclosed one cannot warn.
CANNOT = ["test_pool_no_close_warning"] if sysconfig.get_config_var("Py_GIL_DISABLED") else []

BROKEN_POOL = """\
import aiohappybase


class ConnectionPool(aiohappybase.ConnectionPool):
    def __del__(self):
        pass
"""

pytestmark = pytest.mark.timeout(300)


# Every test starts a separate Python and pytest, so half of the wires run with `make stress` only.
@pytest.mark.parametrize(
    ("transport", "protocol"),
    [
        pytest.param(
            *wire, id="-".join(wire), marks=[pytest.mark.stress] * (len(set(wire) & {"buffered", "binary"}) == 1)
        )
        for wire in WIRES
    ],
)
def test_whole_suite_passes(tmp_path: Path, transport: str, protocol: str) -> None:
    with HBaseServer(protocol=protocol, transport=transport) as server:
        outcome = upstream.run(
            tmp_path, server.host, server.port, pool="fastpool.aio", protocol=protocol, transport=transport
        )
    passed = upstream.TESTS - len(CANNOT)
    assert (len(outcome.passed), outcome.failed, outcome.skipped) == (passed, CANNOT, []), outcome.output


def test_whole_suite_passes_with_their_pool(tmp_path: Path) -> None:
    with HBaseServer() as server:
        outcome = upstream.run(tmp_path, server.host, server.port)
    assert (len(outcome.passed), outcome.failed, outcome.skipped) == (upstream.TESTS, [], []), outcome.output


@pytest.mark.stress
def test_pool_tests_pass_many_times_in_a_row(tmp_path: Path) -> None:
    with HBaseServer() as server:
        outcome = upstream.run(tmp_path, server.host, server.port, pool="fastpool.aio", pool_tests=TURNS)
    assert (len(outcome.passed), outcome.failed) == (TURNS * len(upstream.POOL_TESTS), []), outcome.output


def test_a_broken_pool_is_noticed(tmp_path: Path) -> None:
    """Checks the runner: the suite must really test the given pool."""
    (tmp_path / "brokenpool.py").write_text(BROKEN_POOL, "utf-8")
    with HBaseServer() as server:
        outcome = upstream.run(tmp_path, server.host, server.port, pool="brokenpool", pool_tests=1)
    assert outcome.failed == ["test_pool_no_close_warning"], outcome.output
