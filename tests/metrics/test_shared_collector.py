"""A scrape of one process that tells of all pools of a shared name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import fastpool
from fastpool._shared.figures import Oldest, packed, unpacked
from fastpool._telemetry.report import stats_of
from tests.metrics.connections import Plain
from tests.shared._party import Party, wait_until

prometheus_client = pytest.importorskip("prometheus_client")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks of open files are Linux's")

from fastpool.metrics.prometheus import PoolCollector, SharedCollector  # noqa: E402 - after the skip


def samples(collector: object) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = prometheus_client.CollectorRegistry()
    registry.register(collector)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_it_tells_what_pool_collector_tells_and_the_pid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))
    with fastpool.Pool(Plain, name="scraped", shared="all", shared_max=4, timing=True, max_size=3) as pool:
        for _ in range(5):
            with pool.connection():
                pass
        held = [pool.checkout() for _ in range(3)]
        with pytest.raises(fastpool.NoConnectionsAvailable):
            pool.checkout(timeout=0)
        pool.checkin(held[0], discard=True)
        alone, together = samples(PoolCollector(pool)), samples(SharedCollector("all"))
        assert {(name, tuple(label for label in labels if label[0] != "pid")) for name, labels in together} == set(
            alone
        )
        for (name, labels), value in together.items():
            assert dict(labels)["pid"].isdigit()
            assert value == pytest.approx(alone[name, tuple(label for label in labels if label[0] != "pid")])
        for c in held[1:]:
            pool.checkin(c)
    assert samples(SharedCollector("all")) == {}


def test_any_one_process_tells_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    party = Party(tmp_path / "pages")
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(party.folder))
    try:
        workers = [party.worker(name="web", shared_max=5) for _ in range(3)]
        for number, worker in enumerate(workers):
            worker.do(f"[take() for _ in range({number})]")
        wait_until(lambda: sum(stats.leased for stats in fastpool.shared_stats("tested")) == 3)
        told = samples(SharedCollector("tested"))
        used = [
            told["fastpool_connections", (("pid", str(worker.pid)), ("pool", "web"), ("state", "used"))]
            for worker in workers
        ]
        assert used == [0, 1, 2]
    finally:
        party.close()


def test_two_pools_of_one_name_in_a_process_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(tmp_path / "pages"))
    pools = [fastpool.Pool(Plain, name="twice", shared="all") for _ in range(2)]
    for pool in pools:
        pool.warm(2)
    idle = [value for (name, labels), value in samples(SharedCollector("all")).items() if ("state", "idle") in labels]
    assert idle == [4]
    for pool in pools:
        pool.close()


def test_a_bad_name_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="name"):
        SharedCollector(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shared"):
        SharedCollector("")


def test_figures_that_do_not_fit_lose_their_smallest_servers_first() -> None:
    with fastpool.Pool(Plain, name="large", timing=True) as pool:
        with pool.connection():
            pass
        stats = stats_of(pool)
    servers = {f"server-{number:04}.example:9090": number for number in range(500)}
    oldest = Oldest(2.5, "thread 'MainThread'" * 100, "server-0007.example:9090")
    found = unpacked(3, 7, packed("program", 1.5, stats, servers, oldest, 808))
    assert found is not None and found.oldest is not None
    process, again, number = found.process, found.stats, found.number
    assert (number, found.oldest.since, found.oldest.server) == (3, 2.5, "server-0007.example:9090")
    assert found.oldest.owner.startswith("thread 'MainThread'") and len(found.oldest.owner) == 64
    assert process.pid == 7 and "server-0499.example:9090" in process.servers and len(process.servers) < 500
    assert (again.checkouts, again.hold.count) == (stats.checkouts, stats.hold.count)
    assert unpacked(3, 7, b"") is None and unpacked(3, 7, b"[1,2]") is None
