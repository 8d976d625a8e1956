"""Pools in Prometheus, through prometheus_client's default registry or one of your own::

    from fastpool.metrics import prometheus

    pool = fastpool.Pool(connect, name="users")
    prometheus.register(pool)

All numbers come from ``pool.stats()`` at the moment of the scrape, and counting them cost nothing extra. Note that
prometheus_client's multiprocess mode cannot see collectors: with several worker processes scrape each, or push, or give
their pools a ``shared`` name and register ``SharedCollector(name)`` in any one of them.
``fastpool_use_seconds``, and waits that did not have to wait, are recorded only in pools with ``timing=True``.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._shared.figures import EDGES_NS
from ._watched import Watched

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import CollectorRegistry

    from .._telemetry.stats import Histogram, Stats

# Edges of the pool's own buckets, four times as wide each (1 µs, 4 µs, … 69 s): every count in them is exact.
BOUNDS_S = tuple(edge / 1e9 for edge in EDGES_NS)

_COUNTERS = {
    "checkouts": "Connections taken from the pool.",
    "checkins": "Connections given back to the pool.",
    "waits": "Checkouts that had to stand in line.",
    "timeouts": "Checkouts that got no connection in their time.",
    "cancelled": "Checkouts that gave up waiting: cancelled, killed or interrupted.",
    "connects": "Connections opened.",
    "connect_errors": "Connections that could not be opened.",
    "leaks": "Leases reported as held for too long.",
}
_HISTOGRAMS = {
    "checkout_wait": ("wait", "How long checkouts waited for a connection."),
    "connect": ("connect", "How long opening a connection took."),
    "use": ("hold", "How long connections were held."),
}


class PoolCollector:
    """A prometheus_client collector for any number of pools, told apart by the label ``pool``.

    Holds its pools weakly: one that is gone is no longer reported.
    """

    def __init__(self, *pools: Any) -> None:
        self._watched = Watched()
        for pool in pools:
            self.add(pool)

    def add(self, pool: Any) -> None:
        """Report this pool as well; ValueError if another open one has its name."""
        self._watched.add(pool)

    def discard(self, pool: Any) -> None:
        """Stop reporting this pool."""
        self._watched.discard(pool)

    def collect(self) -> Iterator[Metric]:
        """The metrics of all pools; called by the registry at each scrape."""
        yield from _families(["pool"], [((one.name,), one) for _, one in self._watched.stats()])


class SharedCollector:
    """A prometheus_client collector for all pools of a shared name, in all processes of this user on this machine.

    Any one process can export them all, where each worker of a server would need a scrape of its own otherwise. Metrics
    and labels are those of PoolCollector, and the label ``pid``; several pools of one name in a process are one. What
    is told is at most a second old; a process that has ended is no longer told of.

        REGISTRY.register(prometheus.SharedCollector("orders"))
    """

    def __init__(self, name: str) -> None:
        from .._shared.folder import encoded

        if not isinstance(name, str):
            raise TypeError(f"name must be a string, not {name!r}")
        encoded(name)  # raises for what is no possible name
        self._name = name

    def describe(self) -> Iterator[Metric]:
        """The metrics without a sample: registering it must not need the page."""
        return _families(["pool", "pid"], [])

    def collect(self) -> Iterator[Metric]:
        """The metrics of all pools; called by the registry at each scrape."""
        from .._shared.reading import shared_rows

        together: dict[tuple[str, ...], Stats] = {}
        for row in shared_rows(self._name):
            one, labels = row.stats, (row.stats.name, str(row.process.pid))
            together[labels] = _sum(together[labels], one) if labels in together else one
        return _families(["pool", "pid"], list(together.items()))


def _families(names: list[str], rows: list[tuple[tuple[str, ...], Stats]]) -> Iterator[Metric]:
    """The metrics of these stats, each with the values of the labels ``names``."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    yield _family(
        GaugeMetricFamily(
            "fastpool_connections", "Connections that are open or being opened.", labels=[*names, "state"]
        ),
        ((*labels, state, n) for labels, one in rows for state, n in _states(one).items()),
    )
    for name, field, text in _GAUGES:
        yield _family(
            GaugeMetricFamily(f"fastpool_{name}", text, labels=names),
            ((*labels, getattr(one, field)) for labels, one in rows),
        )
    for name, text in _COUNTERS.items():
        yield _family(
            CounterMetricFamily(f"fastpool_{name}", text, labels=names),
            ((*labels, getattr(one, name)) for labels, one in rows),
        )
    yield _family(
        CounterMetricFamily("fastpool_rejected", "Checkouts turned away at once.", labels=[*names, "reason"]),
        ((*labels, "max_waiting", one.rejected) for labels, one in rows),
    )
    yield _family(
        CounterMetricFamily("fastpool_closed", "Connections closed, and why.", labels=[*names, "reason"]),
        ((*labels, reason, n) for labels, one in rows for reason, n in one.closed.items()),
    )
    for name, (field, text) in _HISTOGRAMS.items():
        family = HistogramMetricFamily(f"fastpool_{name}_seconds", text, labels=names)
        for labels, one in rows:
            histogram = getattr(one, field)
            family.add_metric(labels, cumulative(histogram), histogram.sum_s)
        yield family


def _sum(first: Stats, second: Stats) -> Stats:
    """Two pools of one name as one."""
    import dataclasses

    summed: dict[str, Any] = {}
    for field in dataclasses.fields(first):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, int):
            summed[field.name] = one + other
        elif field.name == "closed":
            summed[field.name] = {reason: n + other[reason] for reason, n in one.items()}
        elif not isinstance(one, str):
            summed[field.name] = type(one)(
                one.count + other.count, one.sum_s + other.sum_s, max(one.max_s, other.max_s), one._spans + other._spans
            )
    return type(first)(**{"name": first.name, **summed})


def register(*pools: Any, registry: CollectorRegistry | None = None) -> PoolCollector:
    """Report these pools in ``registry`` (default: prometheus_client's own); may be called again for more pools."""
    if registry is None:
        from prometheus_client import REGISTRY

        registry = REGISTRY
    collector = _collectors.setdefault(registry, PoolCollector())
    for pool in pools:
        collector.add(pool)
    collector._watched.report(lambda: registry.register(collector))
    return collector


def cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """A pool's histogram in Prometheus' form: ``(le, cumulative count)``, ending with ``+Inf``."""
    buckets = list(histogram.buckets)
    total = sum(n for _, n in buckets)
    counts = [(str(bound), float(sum(n for edge, n in buckets if edge <= bound))) for bound in BOUNDS_S]
    return [*counts, ("+Inf", float(total))]


_GAUGES = (
    ("connections_max", "max_size", "Most connections open at once."),
    ("connections_min", "min_size", "Connections that are kept open."),
    ("pending_requests", "waiting", "Checkouts that stand in line."),
)
_collectors: weakref.WeakKeyDictionary[Any, PoolCollector] = weakref.WeakKeyDictionary()


def _states(stats: Stats) -> dict[str, int]:
    return {"idle": stats.idle, "used": stats.leased, "connecting": stats.connecting}


def _family(family: Any, samples: Iterator[tuple[Any, ...]]) -> Any:
    for *labels, value in samples:
        family.add_metric(labels, value)
    return family
