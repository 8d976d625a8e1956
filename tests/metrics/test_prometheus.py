"""A scrape reports what the pool's own stats report."""

import gc
import itertools

import pytest

import fastpool
from fastpool._telemetry.stats import Histogram
from tests.metrics.connections import Plain, refuse
from tests.pool.fake_driver import frees_what_is_dropped

prometheus_client = pytest.importorskip("prometheus_client")

from fastpool.metrics import prometheus  # noqa: E402 - after the skip
from fastpool.metrics.prometheus import BOUNDS_S, PoolCollector, cumulative  # noqa: E402

numbers = itertools.count(1)


@pytest.fixture
def registry():
    return prometheus_client.CollectorRegistry(auto_describe=True)


@pytest.fixture
def pool():
    with fastpool.Pool(Plain, max_size=3, name=f"scraped-{next(numbers)}", timing=True) as pool:
        pool.warm(1)
        yield pool


def test_the_sizes_of_now(registry, pool):
    prometheus.register(pool, registry=registry)

    def connections(state):
        return registry.get_sample_value("fastpool_connections", {"pool": pool.name, "state": state})

    assert (connections("idle"), connections("used"), connections("connecting")) == (1, 0, 0)
    with pool.connection():
        assert (connections("idle"), connections("used")) == (0, 1)
    one = {"pool": pool.name}
    assert registry.get_sample_value("fastpool_connections_max", one) == 3
    assert registry.get_sample_value("fastpool_connections_min", one) == 0
    pool.resize(min_size=1)
    assert registry.get_sample_value("fastpool_connections_min", one) == 1
    assert registry.get_sample_value("fastpool_pending_requests", one) == 0


def test_the_totals_are_those_of_the_stats(registry, pool):
    prometheus.register(pool, registry=registry)
    for _ in range(5):
        with pool.connection() as c:
            pass
    with pool.connection() as lease_of_its_own:
        assert lease_of_its_own is c
    pool.clear()
    held = [pool.checkout() for _ in range(3)]
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.checkout(timeout=0)
    for c in held:
        pool.checkin(c)
    stats = pool.stats()
    for name in ("checkouts", "checkins", "waits", "timeouts", "cancelled", "connects", "connect_errors", "leaks"):
        sample = registry.get_sample_value(f"fastpool_{name}_total", {"pool": pool.name})
        assert sample == getattr(stats, name), name
    assert stats.timeouts == 1
    for reason, n in stats.closed.items():
        labels = {"pool": pool.name, "reason": reason}
        assert registry.get_sample_value("fastpool_closed_total", labels) == n
    assert stats.closed["cleared"] == 1
    labels = {"pool": pool.name, "reason": "max_waiting"}
    assert registry.get_sample_value("fastpool_rejected_total", labels) == 0


def test_the_histograms_are_those_of_the_stats(registry, pool):
    prometheus.register(pool, registry=registry)
    for _ in range(20):
        with pool.connection():
            pass
    stats = pool.stats()
    for name, histogram in (("checkout_wait", stats.wait), ("connect", stats.connect), ("use", stats.hold)):
        labels = {"pool": pool.name}
        assert registry.get_sample_value(f"fastpool_{name}_seconds_count", labels) == histogram.count > 0
        assert registry.get_sample_value(f"fastpool_{name}_seconds_sum", labels) == histogram.sum_s
        top = registry.get_sample_value(f"fastpool_{name}_seconds_bucket", labels | {"le": "+Inf"})
        assert top == histogram.count


def test_the_buckets_are_cumulative_and_exact():
    edges = [0, 1024, 4096, 2**30, 2**40]
    histogram = Histogram.from_core(10, 10**10, 2**39, [1, 2, 3, 4], edges)
    counts = dict(cumulative(histogram))
    assert [counts[str(bound)] for bound in BOUNDS_S[:3]] == [1, 3, 3]
    assert counts[str(2**30 / 1e9)] == 6
    assert counts["+Inf"] == 10
    assert list(counts.values()) == sorted(counts.values())


def test_it_can_be_scraped_as_text(registry, pool):
    prometheus.register(pool, registry=registry)
    text = prometheus_client.generate_latest(registry).decode()
    assert f'fastpool_connections{{pool="{pool.name}",state="idle"}} 1.0' in text
    assert "# TYPE fastpool_use_seconds histogram" in text
    assert "# TYPE fastpool_checkouts_total counter" in text


def test_more_pools_later_in_one_and_the_same_collector(registry, pool):
    first = prometheus.register(pool, registry=registry)
    with fastpool.Pool(Plain, name=f"scraped-{next(numbers)}") as other:
        assert prometheus.register(other, pool, registry=registry) is first
        for one in (pool, other):
            assert registry.get_sample_value("fastpool_connections_max", {"pool": one.name}) == one.stats().max_size


@frees_what_is_dropped
def test_a_pool_that_is_gone_is_reported_no_more(registry):
    pool = fastpool.Pool(Plain, name="short-lived")
    prometheus.register(pool, registry=registry)
    assert registry.get_sample_value("fastpool_connections_max", {"pool": "short-lived"}) == 10
    del pool
    gc.collect()
    assert registry.get_sample_value("fastpool_connections_max", {"pool": "short-lived"}) is None


def test_two_open_pools_of_one_name_are_refused_but_a_closed_one_gives_way():
    first, second = (fastpool.Pool(Plain, max_size=size, name="twin") for size in (1, 2))
    collector = PoolCollector(first)
    with pytest.raises(ValueError, match="two open pools are called 'twin'"):
        collector.add(second)
    first.close()
    collector.add(second)
    [gauge] = [family for family in collector.collect() if family.name == "fastpool_connections_max"]
    assert [sample.value for sample in gauge.samples] == [2]
    collector.discard(first)
    assert len(next(iter(collector.collect())).samples) == 3
    collector.discard(second)
    assert next(iter(collector.collect())).samples == []
    second.close()


def test_failed_connects_are_counted(registry):
    with fastpool.Pool(refuse, name="refused") as pool:
        prometheus.register(pool, registry=registry)
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                pool.checkout()
        assert registry.get_sample_value("fastpool_connect_errors_total", {"pool": "refused"}) == 2
