"""ConnectionPool: pycassa's pool, with pycassa's arguments, methods, events and messages, on a fastpool.Pool.

::

    pool = fastpool.adapters.pycassa.ConnectionPool("Keyspace1", ["10.0.0.4:9160", "10.0.0.5:9160"])
    pool.execute("insert", b"key", ColumnParent("Standard1"), Column(b"name", b"value", 1), ConsistencyLevel.ONE)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..._config import Config
from ..._driver import Driver
from ..._errors import LeaseError, NoConnectionsAvailable
from ..._telemetry.events import Listeners
from ..._telemetry.report import exhausted
from . import arguments
from .driver import PycassaDriver
from .errors import InvalidRequestError
from .live import LiveArguments
from .logger import PoolLogger
from .owners import Owners, owner_here
from .renewals import Renewals
from .transport import default_socket_factory, default_transport_factory
from .wrapper import ConnectionWrapper

_CHECKOUTS = ("connection_checked_out", "connection_checked_in")
_ANY_MAX = 2**31 - 1  # pycassa's value for no limit


class ConnectionPool(LiveArguments, Renewals):  # type: ignore[misc]  # `listeners` are pycassa's
    """pycassa.ConnectionPool, replaced.

    All connections use ``keyspace``. ``server_list``: ``"host:port"``, or ``"host"`` (port 9160), or a
    function that gives such a list, called once. ``credentials``: a dict with ``username`` and ``password``.
    ``timeout``: seconds that a connect, read or write may take; None: no limit. ``use_threadlocal``: a thread
    (greenlet, task) that asks again gets the connection that it has. ``prefill``: ``pool_size`` connections are opened
    here. ``socket_factory(host, port)`` and ``transport_factory(tsocket, host, port)`` make thriftpy2's kind of sockets
    and transports.

    By name only: ``max_overflow`` (connections beyond ``pool_size``; -1: no limit), ``pool_timeout``
    (seconds that ``get()`` waits; 0: not at all, -1: no limit), ``recycle`` (operations; -1: never), ``max_retries``
    (-1: no limit), ``listeners``, ``logging_name``. Options of :class:`fastpool.Pool` are taken by their names, except
    that its ``listeners`` are ``pool_listeners``, its ``timeout`` is ``pool_timeout``, and ``max_size`` is
    ``pool_size + max_overflow``.

    TypeError or ValueError for a bad argument. AllServersUnavailable if ``prefill`` finds no server.
    """

    driver: PycassaDriver

    def __init__(
        self,
        keyspace: str,
        server_list: Any = ("localhost:9160",),
        credentials: dict[str, str] | None = None,
        timeout: float | None = 0.5,
        use_threadlocal: bool = True,
        pool_size: int = 5,
        prefill: bool = True,
        socket_factory: Callable[[str, int], Any] = default_socket_factory,
        transport_factory: Callable[[Any, str, int], Any] = default_transport_factory,
        *,
        max_size: int | None = None,
        servers: Any = None,
        **options: Any,
    ) -> None:
        given = {
            "keyspace": keyspace, "server_list": server_list, "credentials": credentials, "timeout": timeout,
            "use_threadlocal": use_threadlocal, "pool_size": pool_size, "prefill": prefill,
            "socket_factory": socket_factory, "transport_factory": transport_factory,
        }  # fmt: skip
        given, options = arguments.checked(given, dict(options), max_size, servers)
        driver = PycassaDriver(**given)
        super().__init__(driver=driver, servers=driver.servers, **options)

    def _start(self, driver: Driver[Any], config: Config) -> None:
        super()._start(driver, config)
        self._owners = Owners()
        self._hears_checkouts = False
        self.driver.serve(self)
        self._listen()
        self.driver.choose_servers(self.driver.given_servers)

    def _least(self) -> int:
        return max(self.config.min_size, self.driver.pool_size if self.driver.prefill else 0)

    # ---- connections -----------------------------------------------------------------------------------------------

    def get(self) -> ConnectionWrapper:
        """Check out a connection; return it with ``put``.

        NoConnectionAvailable when none comes back within ``pool_timeout`` seconds, AllServersUnavailable when one must
        be opened and no server accepts it.
        """
        driver = self.driver
        if not self._hears_checkouts and PoolLogger.logger.isEnabledFor(logging.DEBUG):
            self._listen()
        if not driver.use_threadlocal:
            return self.checkout()
        here, owner = self._owners.here, owner_here()
        connection = here.of(owner)
        if connection is None:
            connection = self.checkout()
            here.take(owner, connection)
        return connection

    def put(self, conn: ConnectionWrapper) -> None:
        """Return a connection, from any thread.

        A closed connection frees its place. InvalidRequestError for a connection that is not checked out; with
        ``use_threadlocal`` nothing happens, as several callers of ``get()`` in a thread may each return the connection
        that they share.
        """
        if not isinstance(conn, ConnectionWrapper):
            raise TypeError(f"put() takes a connection that get() gave, not {conn!r}")
        if conn._driver is not self.driver:
            raise InvalidRequestError(f"{conn} is another pool's connection")
        if self.driver.use_threadlocal and not self._owners.here.let_go(conn):
            return
        if conn.operation_count > self.driver.recycle >= 0:
            conn._entry.needs_reset = True
        closed = not conn.is_open()
        conn._retry_count = 0
        conn._quiet |= closed
        try:
            self.checkin(conn, discard=closed)
        except LeaseError as error:
            if conn._entry.held and not closed:
                raise InvalidRequestError(str(error)) from None
            if not (closed or self.driver.use_threadlocal):
                raise InvalidRequestError("Connection was already checked in or disposed") from None

    return_conn = put

    def execute(self, f: str, *args: Any, **kwargs: Any) -> Any:
        """Check out a connection, call its method ``f``, return the connection, and return the result of ``f``."""
        conn = self.get()
        try:
            return getattr(conn, f)(*args, **kwargs)
        finally:
            self.put(conn)

    def fill(self) -> None:
        """Open connections until ``pool_size`` are open, checked out or not; AllServersUnavailable if that fails."""
        self.warm(self.driver.pool_size)

    def warm(self, n: int | None = None, timeout: float | None = None) -> int:
        """Open connections until ``n`` (default ``pool_size``) are open; return how many are."""
        return super().warm(self.driver.pool_size if n is None else n, timeout)

    def dispose(self) -> None:
        """Close all connections that are checked in. The pool stays usable; ``close()`` ends it for good."""
        self.driver.dispose(self)
        self.driver.tell("pool_disposed", "info")

    def set_server_list(self, server_list: Any) -> None:
        """Connect to these servers from now on: a list as for the constructor, or a function that gives one."""
        servers = arguments.servers("server_list", server_list)
        self.driver.given_servers, self.driver.live_servers = servers, False
        self.driver.choose_servers(servers)

    # ---- numbers -----------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """The number of connections that the pool keeps: ``pool_size``."""
        return self.driver.pool_size

    def overflow(self) -> int:
        """The number of connections open beyond ``pool_size``."""
        return max(len(self) - self.driver.pool_size, 0)

    def checkedin(self) -> int:
        """The number of connections in the pool."""
        return int(self._counts()[0])

    def checkedout(self) -> int:
        """The number of connections that are checked out."""
        return int(self._counts()[1])

    # ---- listeners ---------------------------------------------------------------------------------------------------

    def add_listener(self, listener: Any) -> None:
        """Tell ``listener`` of events, too: an object with methods of PoolListener, or a dict of such functions."""
        self.driver.events.add(listener)
        self.driver.given_listeners = tuple(self.driver.events.listeners[1:])
        self._listen()

    def _listen(self) -> None:
        """Register with the core for the events that have listeners: others cost nothing."""
        driver = self.driver
        calls = {"closed_connection": driver.on_closed}
        others = driver.events.hears_besides_first(_CHECKOUTS)
        self._hears_checkouts = others or PoolLogger.logger.isEnabledFor(logging.DEBUG)
        if self._hears_checkouts:
            calls |= {"checked_out": driver.on_checked_out, "checked_in": driver.on_checked_in}
        self._set_listeners(Listeners([calls, *self.config.listeners]))

    def _exhausted(self, phase: str, waited: float, steps: list[Any] | None) -> NoConnectionsAvailable:
        driver, config = self.driver, self.config
        if steps is None and phase == "wait":
            most = _ANY_MAX if driver.max_overflow < 0 else driver.pool_size + driver.max_overflow
            driver.tell("pool_at_max", "info", pool_max=most)
        size = f"size {driver.pool_size}" + (f"overflow {driver.max_overflow}" if driver.max_overflow else "")
        seconds = int(waited if config.timeout is None else min(waited, config.timeout))
        message = f"ConnectionPool limit of {size} reached, unable to obtain connection after {seconds} seconds"
        return exhausted(self, phase, waited, steps, message)


QueuePool = ConnectionPool
