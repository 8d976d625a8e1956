"""happybase's own tests pass against our server, with happybase's pool and with ours in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("happybase")

from fastpool.testing import HBaseServer

from . import sdist, upstream

WIRES = [(protocol, transport) for protocol in ("binary", "compact") for transport in ("buffered", "framed")]
POOLS = ("happybase", "fastpool")
TURNS = 20

BROKEN_POOL = """\
import threading

import happybase


class ConnectionPool(happybase.ConnectionPool):
    def connection(self, timeout=None):
        if threading.current_thread() is not threading.main_thread():
            raise AssertionError("no connection for a thread")
        return super().connection(timeout)
"""

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize(("protocol", "transport"), WIRES, ids=["-".join(wire) for wire in WIRES])
def test_whole_suite_passes(tmp_path: Path, pool: str, protocol: str, transport: str) -> None:
    with HBaseServer(protocol=protocol, transport=transport) as server:
        outcome = upstream.run(tmp_path, server.host, server.port, pool=pool, protocol=protocol, transport=transport)
    assert (len(outcome.passed), outcome.failed, outcome.skipped) == (upstream.TESTS, [], []), outcome.output


@pytest.mark.parametrize("pool", POOLS)
def test_pool_tests_pass_many_times_in_a_row(tmp_path: Path, pool: str) -> None:
    with HBaseServer() as server:
        outcome = upstream.run(tmp_path, server.host, server.port, pool=pool, pool_tests=TURNS)
    assert (len(outcome.passed), outcome.failed) == (TURNS * len(upstream.POOL_TESTS), []), outcome.output


def test_failure_inside_a_thread_of_the_suite_is_noticed(tmp_path: Path) -> None:
    """Checks the runner: without this, a pass of the suite would say little about the pool."""
    (tmp_path / "brokenpool.py").write_text(BROKEN_POOL, "utf-8")
    with HBaseServer() as server:
        outcome = upstream.run(tmp_path, server.host, server.port, pool="brokenpool", pool_tests=1)
    assert outcome.failed == ["test_connection_pool", "test_pool_exhaustion"], outcome.output


def test_another_copy_of_the_suite_is_refused() -> None:
    with pytest.raises(RuntimeError, match="is not the one that this runner knows"):
        upstream.repair("import happybase\n", "happybase")


def test_missing_package_index_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sdist, "CACHE", tmp_path / "cache" / "upstream")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(RuntimeError, match=r"put happybase-1[.]3[.]0[.]tar[.]gz into [.]cache/upstream/"):
        upstream.fetch()
