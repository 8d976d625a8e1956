"""The metrics that an OpenTelemetry reader collects of a pool."""

import gc
import itertools

import pytest

import fastpool
from tests.metrics.connections import Plain, refuse
from tests.pool.fake_driver import frees_what_is_dropped

pytest.importorskip("opentelemetry.sdk.metrics")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from fastpool.metrics import opentelemetry

POOL, STATE = "db.client.connection.pool.name", "db.client.connection.state"
numbers = itertools.count(1)


class Collected:
    """A meter, and the data that a reader collects from it."""

    def __init__(self):
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.meter = self.provider.get_meter("tests")

    def metrics(self):
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric for r in data.resource_metrics for scope in r.scope_metrics for metric in scope.metrics
        }

    def points(self, name):
        """(attributes, value) of each point of a metric."""
        metric = self.metrics().get(name)
        return [] if metric is None else [(dict(p.attributes), p.value) for p in metric.data.data_points]

    def value(self, name, pool, **attributes):
        [value] = [v for a, v in self.points(name) if a == {POOL: pool.name} | attributes]
        return value


@pytest.fixture
def collected():
    collected = Collected()
    yield collected
    collected.provider.shutdown()


@pytest.fixture
def pool():
    with fastpool.Pool(Plain, max_size=3, name=f"observed-{next(numbers)}", timing=True) as pool:
        pool.warm(1)
        yield pool


def test_the_sizes_of_now_under_the_conventions_names(collected, pool):
    opentelemetry.instrument(pool, meter=collected.meter)

    def connections():
        return {a[STATE]: v for a, v in collected.points("db.client.connection.count")}

    assert connections() == {"idle": 1, "used": 0}
    with pool.connection():
        assert connections() == {"idle": 0, "used": 1}
    for name, value in (("idle.max", 3), ("idle.min", 0), ("max", 3), ("pending_requests", 0), ("timeouts", 0)):
        assert collected.value(f"db.client.connection.{name}", pool) == value, name
    pool.resize(min_size=1, max_idle=2)
    assert collected.value("db.client.connection.idle.min", pool) == 1
    assert collected.value("db.client.connection.idle.max", pool) == 2


def test_units_and_kinds(collected, pool):
    opentelemetry.instrument(pool, meter=collected.meter)
    metrics = collected.metrics()
    count, timeouts = metrics["db.client.connection.count"], metrics["db.client.connection.timeouts"]
    assert (count.unit, count.data.is_monotonic) == ("{connection}", False)
    assert (timeouts.unit, timeouts.data.is_monotonic) == ("{timeout}", True)


def test_the_totals_are_those_of_the_stats(collected, pool):
    opentelemetry.instrument(pool, meter=collected.meter)
    for _ in range(4):
        with pool.connection():
            pass
    held = [pool.checkout() for _ in range(3)]
    with pytest.raises(fastpool.NoConnectionsAvailable):
        pool.checkout(timeout=0)
    for c in held:
        pool.checkin(c, discard=True)
    stats = pool.stats()
    for name in ("checkouts", "waits", "rejected", "cancelled", "connects", "connect_errors", "leaks"):
        assert collected.value(f"fastpool.connection.{name}", pool) == getattr(stats, name), name
    assert collected.value("db.client.connection.timeouts", pool) == stats.timeouts == 1
    for reason, n in stats.closed.items():
        assert collected.value("fastpool.connection.closed", pool, reason=reason) == n
    assert stats.closed["discarded"] == 3
    for name, histogram in (("create_time", stats.connect), ("wait_time", stats.wait), ("use_time", stats.hold)):
        assert collected.value(f"fastpool.connection.{name}.sum", pool) == histogram.sum_s > 0
        assert collected.value(f"fastpool.connection.{name}.count", pool) == histogram.count > 0


def test_more_pools_later_without_new_instruments(collected, pool, caplog):
    opentelemetry.instrument(pool, meter=collected.meter)
    with fastpool.Pool(refuse, name=f"observed-{next(numbers)}") as other:
        opentelemetry.instrument(other, meter=collected.meter)
        assert {a[POOL] for a, _ in collected.points("db.client.connection.max")} == {pool.name, other.name}
    assert caplog.records == []


@frees_what_is_dropped
def test_a_pool_that_is_gone_is_reported_no_more(collected):
    pool = fastpool.Pool(Plain, name="short-lived")
    opentelemetry.instrument(pool, meter=collected.meter)
    assert len(collected.points("db.client.connection.max")) == 1
    del pool
    gc.collect()
    assert collected.points("db.client.connection.max") == []


def test_two_open_pools_of_one_name_are_refused(collected):
    with fastpool.Pool(Plain, name="twin") as first, fastpool.Pool(Plain, name="twin") as second:
        opentelemetry.instrument(first, meter=collected.meter)
        with pytest.raises(ValueError, match="two open pools are called 'twin'"):
            opentelemetry.instrument(second, meter=collected.meter)


def test_the_global_meter_may_be_used_again_and_again(pool, caplog):
    opentelemetry.instrument(pool)
    opentelemetry.instrument(pool)
    assert caplog.records == []
