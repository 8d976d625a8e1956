"""The parts of a RegionPool: a ConnectionPool for each gateway, and what their figures are together."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any

from ..._config import Config
from ..._driver import Driver
from ..._servers import Server, server_text
from ..._telemetry.events import EVENTS, calls_of
from .pool import ConnectionPool, HappybaseDriver, NoConnectionsAvailable, PoolDeadlock
from .region_lease import Permit

if TYPE_CHECKING:
    from ..._core import Entry

# Told by the one line of all callers; the rest, about connections, by the gateways' pools.
_OF_LINE = {"pool_opened", "pool_cleared", "pool_closed", "checkout_started", "checkout_failed"}
_OF_BOTH = {"wait_started"}

# What the gateways' pools have of their own. Everything else in a Config they have as it was given.
_LINE_ONLY = {"max_size", "timeout", "max_waiting", "servers", "balance", "open"}


class RegionDriver(Driver[Permit]):
    """The arguments of a RegionPool about its gateways; the connections that it makes itself are permits.

    ``connection_kwargs`` are those of :class:`~fastpool.ConnectionPool`, ``shared`` the options of that name and
    ``shared_max``. TypeError or ValueError for bad ones.
    """

    exhausted_error = NoConnectionsAvailable
    deadlock_error = PoolDeadlock
    exhausted_message = HappybaseDriver.exhausted_message

    def __init__(
        self,
        gateways: tuple[Server, ...],
        refresh: float | None,
        connection_kwargs: dict[str, Any],
        shared: dict[str, Any],
    ) -> None:
        HappybaseDriver(**connection_kwargs)  # only to have wrong arguments refused, and so is the Config
        Config.build(**shared)
        self.shared = shared
        self.gateways = gateways
        self.refresh = refresh
        self.connection_kwargs = connection_kwargs

    def open_entry(self, entry: Entry, server: Any, timeout: float | None) -> Permit:
        """Make a permit."""
        return Permit()

    def usable(self, c: Permit, exc: BaseException) -> bool:
        """Always: a permit does not wear out."""
        return True

    def reset(self, c: Permit) -> None:
        """Forget what its last holder had, if a block was never left."""
        c.blocks = []


def shares(total: int, parts: int) -> list[int]:
    """``total`` in ``parts`` whole numbers, as equal as can be, the larger ones first."""
    each, more = divmod(total, parts)
    return [each + (number < more) for number in range(parts)]


def share_of(config: Config, number: int, parts: int) -> dict[str, Any]:
    """The sizes of the pool of gateway ``number``, of ``parts``: together they are the whole pool's."""
    sizes = {
        "max_size": shares(config.max_size, parts)[number],
        "min_size": shares(config.min_size, parts)[number],
        "max_overflow": -1 if config.max_overflow < 0 else shares(config.max_overflow, parts)[number],
        "max_idle": None if config.max_idle is None else shares(config.max_idle, parts)[number],
    }
    if sizes["max_size"] == 0:
        raise ValueError(f"max_size must be at least the number of gateways ({parts}), not {config.max_size}")
    return sizes


def pool_of(config: Config, driver: RegionDriver, number: int) -> ConnectionPool:
    """Make the pool of one gateway, which is not open yet."""
    gateway = driver.gateways[number]
    options = {name: value for name, value in config.given().items() if name not in _LINE_ONLY}
    sizes = share_of(config, number, len(driver.gateways))
    options |= driver.connection_kwargs | sizes
    options["name"] = f"{config.name}@{server_text(gateway)}"
    options |= driver.shared
    if options.get("shared") is not None:
        options["shared"] = f"{options['shared']}@{server_text(gateway)}"
    options["listeners"] = heard(config.listeners, set(EVENTS) - _OF_LINE)
    options["nested"] = config.nested
    options["max_connecting"] = config.max_connecting
    options["checkout_timeout"] = config.timeout
    return ConnectionPool(options.pop("max_size"), servers=[gateway], open=False, **options)


def line_config(config: Config) -> Config:
    """The options of the line: permits are not kept open, checked or replaced."""
    return config.replaced(
        min_size=0,
        max_idle=None,
        idle_timeout=None,
        max_lifetime=None,
        max_uses=None,
        keepalive=None,
        leak_after=None,
        max_connecting=config.max_size,
    )


def heard_by_line(listeners: Iterable[Any]) -> tuple[Any, ...]:
    """The listeners of the line: each with the events that the line reports."""
    return heard(listeners, _OF_LINE | _OF_BOTH)


def heard(listeners: Iterable[Any], names: set[str]) -> tuple[Any, ...]:
    """The listeners, as far as they listen to one of ``names``."""
    parts = ({name: call for name, call in calls_of(one).items() if name in names} for one in listeners)
    return tuple(part for part in parts if part)


def add_counts(line: tuple[Any, ...], gateways: Iterable[tuple[Any, ...]], unused: int, missed: int) -> tuple[Any, ...]:
    """The figures of a RegionPool, from those of its line and of its gateways' pools.

    ``unused``: the permits whose callers got no connection; ``missed``: those of them whose time was over. Checkouts
    are counted by the line: the looks at tables, too, check out connections of the gateways.
    """
    idle, leased, connecting, waiting, _, _, totals, closed = zip(*gateways, strict=True)
    waits, _, _, cancelled, connects, connect_errors, leaks = (sum(column) for column in zip(*totals, strict=True))
    of_line = line[6]
    return (
        sum(idle),
        sum(leased),
        sum(connecting),
        line[3] + sum(waiting),
        line[4] - unused,
        line[5] - unused,
        [waits + of_line[0], of_line[1] + missed, of_line[2], cancelled + of_line[3], connects, connect_errors, leaks],
        [sum(column) for column in zip(*closed, strict=True)],
    )


def add_histograms(parts: Iterable[tuple[int, int, int, list[int]]]) -> tuple[int, int, int, list[int]]:
    """Several of the core's histograms as one."""
    counts, sums, longest, buckets = zip(*parts, strict=True)
    return sum(counts), sum(sums), max(longest), list(reduce(lambda a, b: list(map(operator.add, a, b)), buckets))
