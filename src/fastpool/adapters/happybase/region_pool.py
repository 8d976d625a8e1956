"""A pool in front of several gateways, which gives the caller of a row the gateway beside that row.

::

    pool = RegionPool(8, gateways=[("hbase-1", 9090), ("hbase-2", 9090), ("hbase-3", 9090)], timeout=5000)
    with pool.table("users", b"ann") as table:
        table.row(b"ann")
"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from types import EllipsisType
from typing import TYPE_CHECKING, Any, Unpack

import happybase

from ..._config import Config, _seconds
from ..._core import clock, deadline_after
from ..._servers import normalise_servers
from .._thrift.arguments import checked_size, options_among
from .._thrift.prefix import Prefix, as_bytes, by_hand
from .blocks import TableBlock
from .gateway_pools import RegionDriver
from .joined_pool import JoinedPool
from .region_lease import AsyncRegionLease, RegionLease, Wanted
from .region_router import Router

if TYPE_CHECKING:
    from .options import GatewayOptions

    Text = str | bytes | None
    Timeout = float | EllipsisType | None


class RegionPool(JoinedPool):
    """Connections to several Thrift gateways of one HBase, routed by row.

    ``size`` is the most connections open at once to each gateway, ``gateways`` a list of ``(host, port)`` or
    ``"host:port"``. Where a table's regions are is asked of HBase when a table is first used, every ``refresh`` seconds
    (None: never), and at once after an error that says that a region has moved. A checkout for a row is given the
    gateway on the host whose region server has it; any other, the least leased first, where there is none, or it is
    down, or it has had no free connection for 50 ms.

    All options of :class:`~fastpool.ConnectionPool` are taken except ``host``, ``port`` and ``servers``. Sizes
    (``min_size``, ``max_overflow``, ``max_idle``) are the whole pool's and spread evenly; ``max_connecting`` and
    ``shared_max`` are each gateway's, whose shared name is ``"{shared}@{host}:{port}"``. TypeError or ValueError for a
    bad argument; the first connections are opened here (unless ``open=False``), so AllServersUnavailable if no gateway
    can be reached.
    """

    router: Router

    def __init__(
        self,
        size: int,
        gateways: Any,
        refresh: float | None = 60.0,
        *,
        checkout_timeout: float | None = None,
        nested: bool = True,
        **kwargs: Unpack[GatewayOptions],
    ) -> None:
        size = checked_size(size)
        where = normalise_servers(gateways, name="gateways")
        if len(set(where)) < len(where):
            raise ValueError(f"gateways must name each gateway once, not {gateways!r}")
        connection_kwargs: dict[str, Any] = {**kwargs}
        for name in ("host", "port", "servers"):
            if name in connection_kwargs:
                raise TypeError(f"{name}={connection_kwargs[name]!r} cannot be given: gateways says where to connect")
        if refresh is not None:
            refresh = _seconds("refresh", refresh, positive=True)
        options = {"balance": "least_leased", **options_among(connection_kwargs, size, None)}
        shared: dict[str, Any] = {name: options.pop(name) for name in ("shared", "shared_max") if name in options}
        driver: Any = RegionDriver(where, refresh, connection_kwargs, shared)
        most = size * len(where)
        super().__init__(driver=driver, max_size=most, timeout=checkout_timeout, nested=nested, **options)

    def _start(self, driver: Any, config: Config) -> None:
        super()._start(driver, config)
        self.router = Router(self)

    def locate(self, table: str | bytes, row: str | bytes) -> tuple[str, int] | None:
        """The gateway on the host whose region server has ``row`` of ``table``; None if there is none, or not known.

        Waits for at most five seconds if nobody has looked at this table yet, or not for ``refresh`` seconds. The
        pool's ``table_prefix`` is put before ``table``.
        """
        wanted = _wanted(table, row, ..., Prefix(None))
        if wanted.table is None or wanted.row is None:
            raise TypeError(f"locate() needs a table and a row, not {table!r} and {row!r}")
        found = self.router.find(self.router.whole_name(wanted.table, wanted.prefix), wanted.row, float("inf"), True)
        return self.gateways[found[0]] if found else None

    # ---- blocks ------------------------------------------------------------------------------------------------

    def connection(  # type: ignore[override]  # where to comes first, as the interface of this pool has it
        self,
        table: Text = None,
        row: Text = None,
        *,
        timeout: Timeout = ...,
        table_prefix: Text = None,
        table_prefix_separator: Text = None,
    ) -> RegionLease:
        """A lease of a connection to the gateway beside ``row`` of ``table``; without a row, to any gateway.

        ``timeout``: seconds, None meaning no limit; by default the pool's own. ``table_prefix`` and its separator are
        for this block only, and are put before ``table``, too. The block raises NoConnectionsAvailable if the time is
        over, and AllServersUnavailable if all gateways refuse.
        """
        return RegionLease(self, _wanted(table, row, timeout, Prefix(table_prefix, table_prefix_separator)))

    def aconnection(  # type: ignore[override]
        self,
        table: Text = None,
        row: Text = None,
        *,
        timeout: Timeout = ...,
        table_prefix: Text = None,
        table_prefix_separator: Text = None,
    ) -> AsyncRegionLease:
        """A lease for a task: ``async with pool.aconnection("users", b"ann") as c``; arguments as of ``connection``."""
        return AsyncRegionLease(self, _wanted(table, row, timeout, Prefix(table_prefix, table_prefix_separator)))

    def table(self, table: str | bytes, row: Text = None, **lease_options: Any) -> TableBlock:
        """A checkout and its table in one: ``with pool.table("users", b"ann") as t:``; options as of ``connection``."""
        return TableBlock(self.connection(table, row, **lease_options), table)

    # ---- by hand -----------------------------------------------------------------------------------------------

    def checkout(
        self,
        timeout: Timeout = ...,
        *,
        table: Text = None,
        row: Text = None,
        table_prefix: Text = None,
        table_prefix_separator: Text = None,
    ) -> happybase.Connection:
        """Check out a connection by hand, to be returned with :meth:`checkin`; arguments as of ``connection``."""
        return self._by_hand(_wanted(table, row, timeout, Prefix(table_prefix, table_prefix_separator)))

    def get_connection(
        self,
        block: bool = True,
        timeout: Timeout = ...,
        table_prefix: Text = None,
        table_prefix_separator: Text = None,
        *,
        table: Text = None,
        row: Text = None,
    ) -> happybase.Connection:
        """Check out a connection by hand, as ConnectionPool.get_connection() does, beside ``row`` of ``table``."""
        limit, prefix = by_hand(block, timeout, table_prefix, table_prefix_separator)
        return self._by_hand(_wanted(table, row, limit, prefix))

    def _by_hand(self, wanted: Wanted) -> happybase.Connection:
        began, deadline = clock(), deadline_after(self.config.timeout if wanted.timeout is ... else wanted.timeout)
        router, connection, number = self.router, None, 0
        permit: Any = super().checkout(wanted.timeout)
        try:
            waited = clock() - began
            choice = router.tries(router.beside(wanted, wanted.prefix, deadline), permit, deadline, waited)
            number, connection = router.route(choice, lambda pool, seconds: pool.checkout(seconds))
            router.note(connection).push_prefix(wanted.prefix)
        except BaseException:
            if connection is not None:
                self.pools[number].checkin(connection, discard=True)
            self._note_unused()
            super().checkin(permit)
            raise
        connection.permit = permit
        return connection

    def checkin(self, c: happybase.Connection, discard: bool = False) -> None:
        """Return a connection that was checked out by hand, from any thread; LeaseError if it was not."""
        permit = getattr(c, "__dict__", {}).pop("permit", None)
        where = getattr(c, "host", None), getattr(c, "port", None)
        number = self.gateways.index(where) if where in self.gateways else 0
        try:
            self.pools[number].checkin(c, discard)
        finally:
            if permit is not None:
                super().checkin(permit)

    # ---- for the leases: places in the line ------------------------------------------------------------------------

    def _place(self, timeout: Any) -> Any:
        return super().connection(timeout)

    def _aplace(self, timeout: Any) -> Any:
        return super().aconnection(timeout)


def _wanted(table: Any, row: Any, timeout: Any, prefix: Prefix) -> Wanted:
    """The arguments of a checkout, checked: TypeError for what is no text, ValueError for a row without its table."""
    if row is not None and table is None:
        raise ValueError(f"row={row!r} needs its table: connection(table, row)")
    table = as_bytes("table must be a string or bytes", table)
    return Wanted(table, as_bytes("row must be a string or bytes", row), timeout, prefix)


RegionPool.__module__ = "fastpool.adapters.happybase"
