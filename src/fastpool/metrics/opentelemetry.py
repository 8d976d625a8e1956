"""Pools in OpenTelemetry, with the names of its semantic conventions for database client connection pools::

    from fastpool.metrics import opentelemetry

    pool = fastpool.Pool(connect, name="users")
    opentelemetry.instrument(pool)

All instruments are observable: their numbers come from ``pool.stats()`` when a reader collects, so a checkout costs
nothing more for being measured. The conventions' three histograms (``create_time``, ``wait_time``, ``use_time``)
cannot be observable in OpenTelemetry; they are here as two counters each, ``fastpool.….sum`` in seconds and
``fastpool.….count``, whose rates give the mean. ``use_time``, and waits that did not have to wait, are recorded only
in pools with ``timing=True``.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ._watched import Watched

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

    from .._telemetry.stats import Stats

_POOL = "db.client.connection.pool.name"
_STATE = "db.client.connection.state"
_Numbers = Callable[[Any, "Stats"], Iterable[tuple[float, dict[str, str]]]]


def _field(name: str) -> _Numbers:
    return lambda pool, stats: [(getattr(stats, name), {})]


def _idle_max(pool: Any, stats: Stats) -> list[tuple[float, dict[str, str]]]:
    most = pool.config.max_idle
    return [(stats.max_size if most is None else most, {})]


def _timing(name: str, what: str) -> _Numbers:
    return lambda pool, stats: [(getattr(getattr(stats, name), what), {})]


# (name, unit, description, the numbers); those of the conventions first, then fastpool's own
_UP_DOWN: tuple[tuple[str, str, str, _Numbers], ...] = (
    (
        "db.client.connection.count",
        "{connection}",
        "Connections that are idle or used.",
        lambda pool, stats: [(stats.idle, {_STATE: "idle"}), (stats.leased, {_STATE: "used"})],
    ),
    ("db.client.connection.idle.max", "{connection}", "Most connections kept open unused.", _idle_max),
    ("db.client.connection.idle.min", "{connection}", "Connections that are kept open.", _field("min_size")),
    ("db.client.connection.max", "{connection}", "Most connections open at once.", _field("max_size")),
    ("db.client.connection.pending_requests", "{request}", "Checkouts that stand in line.", _field("waiting")),
)
_TOTALS: tuple[tuple[str, str, str, _Numbers], ...] = (
    ("db.client.connection.timeouts", "{timeout}", "Checkouts that got no connection in time.", _field("timeouts")),
    ("fastpool.connection.checkouts", "{checkout}", "Connections taken from the pool.", _field("checkouts")),
    ("fastpool.connection.waits", "{checkout}", "Checkouts that had to stand in line.", _field("waits")),
    ("fastpool.connection.rejected", "{checkout}", "Checkouts turned away: max_waiting.", _field("rejected")),
    ("fastpool.connection.cancelled", "{checkout}", "Checkouts that gave up waiting.", _field("cancelled")),
    ("fastpool.connection.connects", "{connection}", "Connections opened.", _field("connects")),
    (
        "fastpool.connection.connect_errors",
        "{error}",
        "Connections that could not be opened.",
        _field("connect_errors"),
    ),
    ("fastpool.connection.leaks", "{lease}", "Leases reported as held for too long.", _field("leaks")),
    (
        "fastpool.connection.closed",
        "{connection}",
        "Connections closed, and why.",
        lambda pool, stats: [(n, {"reason": reason}) for reason, n in stats.closed.items()],
    ),
    *(
        (f"fastpool.connection.{name}.{suffix}", unit, text, _timing(field, what))
        for name, field, text in (
            ("create_time", "connect", "How long opening a connection took."),
            ("wait_time", "wait", "How long checkouts waited for a connection."),
            ("use_time", "hold", "How long connections were held."),
        )
        for suffix, unit, what in (("sum", "s", "sum_s"), ("count", "{time}", "count"))
    ),
)

_watched: weakref.WeakKeyDictionary[Any, Watched] = weakref.WeakKeyDictionary()


def instrument(*pools: Any, meter: Meter | None = None) -> None:
    """Report these pools through ``meter`` (default: the global provider's); may be called again for more pools.

    Holds them weakly: one that is gone is no longer reported. ValueError if two open pools have the same name.
    """
    if meter is None:
        from opentelemetry.metrics import get_meter

        meter = _default_meter(get_meter)
    watched = _watched.setdefault(meter, Watched())
    watched.report(lambda: _create(meter, watched))
    for pool in pools:
        watched.add(pool)


_default: dict[str, Any] = {}


def _default_meter(get_meter: Callable[..., Any]) -> Any:
    # The global meter is a new object at each call: without this, each call would make all instruments again.
    meter = _default.get("meter")
    return _default.setdefault("meter", get_meter("fastpool", __version__)) if meter is None else meter


def _create(meter: Meter, watched: Watched) -> None:
    for name, unit, text, numbers in _UP_DOWN:
        meter.create_observable_up_down_counter(name, [_observer(watched, numbers)], unit, text)
    for name, unit, text, numbers in _TOTALS:
        meter.create_observable_counter(name, [_observer(watched, numbers)], unit, text)


def _observer(watched: Watched, numbers: _Numbers) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(options: CallbackOptions) -> Iterator[Observation]:
        from opentelemetry.metrics import Observation

        for pool, stats in watched.stats():
            for value, attributes in numbers(pool, stats):
                yield Observation(value, {_POOL: stats.name, **attributes})

    return observe
