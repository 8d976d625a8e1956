"""How pycassa's connections are opened, checked, reset and recycled; and the state that a pool's connections share."""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from thriftpy2.transport import TTransportException

from ... import _errors
from ..._driver import Driver
from ..._servers import normalise_server, server_text
from .errors import AllServersUnavailable, NoConnectionAvailable, PoolDeadlock
from .events import SERVER_LIST, Events
from .logger import PoolLogger
from .transport import Wire
from .wrapper import ConnectionWrapper

if TYPE_CHECKING:
    from ..._core import Entry
    from .home import Served

DEFAULT_PORT = 9160
_PATIENCE_S = 5.0
_REASONS = {  # the messages of connection_disposed for reasons that pycassa does not have
    "lifetime": "it has reached its max_lifetime",
    "idle": "it was unused for idle_timeout",
    "max_uses": "it was checked out max_uses times",
    "max_idle": "pool is already full",
    "overflow": "pool is already full",
    "resized": "pool is already full",
    "dead": "the server has closed it",
    "desync": "the server sent what no call asked for",
    "error": "a call on it failed or was interrupted",
    "discarded": "it was discarded",
    "cleared": "the pool was cleared",
    "closed": "the pool was closed",
}


class PycassaDriver(Driver[ConnectionWrapper]):
    """Opens connections to ``keyspace``; its attributes are the pool's arguments, as they are now."""

    tracks_calls = True
    rounds = 2
    exhausted_error = NoConnectionAvailable
    deadlock_error = PoolDeadlock

    def __init__(self, **given: Any) -> None:
        self.keyspace: str = given["keyspace"]
        self.credentials: Mapping[str, str] | None = given["credentials"]
        self.timeout: float | None = given["timeout"]
        self.use_threadlocal: bool = given["use_threadlocal"]
        self.pool_size: int = given["pool_size"]
        self.max_overflow: int = given["max_overflow"]
        self.prefill: bool = given["prefill"]
        self.socket_factory: Callable[[str, int], Any] = given["socket_factory"]
        self.transport_factory: Callable[[Any, str, int], Any] = given["transport_factory"]
        self.recycle: int = given["recycle"]
        self.max_retries: int = given["max_retries"]
        self.logging_name: Any = given["logging_name"]
        self.given_listeners: tuple[Any, ...] = given["listeners"]
        self.given_servers: Any = given["server_list"]
        self.live_servers: bool = given["live_servers"]
        self._begin()

    def _begin(self) -> None:
        self._pool: Callable[[], Served | None] = lambda: None
        self._disposing = threading.local()
        self.server_list: list[Any] = []
        self._addresses: tuple[tuple[str, int], ...] = ()
        self._texts: dict[tuple[str, int], str] = {}
        self.events = Events()
        for listener in (PoolLogger(), *self.given_listeners):
            self.events.add(listener)

    _OF_THIS_PROCESS = ("_pool", "_disposing", "server_list", "_addresses", "_texts", "events")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in self._OF_THIS_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    # ---- the pool ------------------------------------------------------------------------------------------------

    @property
    def pool(self) -> Served:
        """The pool that this driver opens connections for."""
        pool = self._pool()
        if pool is None:
            raise _errors.PoolClosed("the pool of this connection does not exist any more")
        return pool

    def serve(self, pool: Served) -> None:
        """Open connections for ``pool``, which has opened none yet."""
        self._pool = weakref.ref(pool)

    @property
    def pool_id(self) -> Any:
        """The pool's name in events and messages."""
        return self.logging_name or id(self._pool())

    def tell(self, name: str, level: str, **fields: Any) -> None:
        """Tell the listeners of an event."""
        self.events.tell(self.pool_id, name, level, **fields)

    # ---- servers ---------------------------------------------------------------------------------------------------

    def choose_servers(self, given: Any) -> None:
        """Use these servers from now on, in a random order; a function is called once."""
        given = given() if callable(given) else given
        servers = [(normalise_server(server, DEFAULT_PORT), server) for server in given]
        self._texts = {address: text if isinstance(text, str) else server_text(text) for address, text in servers}
        random.shuffle(servers)
        self.server_list = [server for _, server in servers]
        self._addresses = tuple(address for address, _ in servers)
        for name in SERVER_LIST:
            self.tell(name, "debug", server_list=self.server_list)

    def servers(self) -> Iterable[Any]:
        """The servers to connect to, for the pool; AllServersUnavailable if there are none."""
        addresses = self._addresses
        if self.live_servers:
            addresses = tuple(normalise_server(server, DEFAULT_PORT) for server in self.given_servers())
        if not addresses:
            raise AllServersUnavailable("Cannot connect to any servers as server list is empty!")
        return addresses

    def text_of(self, server: tuple[str, int]) -> str:
        """A server as it was given."""
        return self._texts.get(server) or server_text(server)

    def blames_server(self, error: Exception) -> bool:
        """Whether the server is at fault. Wrong credentials or a wrong keyspace fail on every server alike."""
        return isinstance(error, TTransportException | OSError | EOFError)

    def none_left(self, error: BaseException) -> BaseException:
        """The error of a connect that no server accepted."""
        last = error.__cause__ if isinstance(error, _errors.AllServersUnavailable) else error
        failure = AllServersUnavailable(
            "An attempt was made to connect to each of the servers twice, but none of the attempts succeeded. "
            f"The last failure was {type(last).__name__}: {last}"
        )
        failure.__cause__ = last
        return failure

    # ---- connections -------------------------------------------------------------------------------------------------

    def wire(self, server: tuple[str, int], text: str) -> Wire:
        """Make the socket and transport of a connection, not open yet."""
        sock = self.socket_factory(*server)
        if self.timeout is not None:
            sock.set_timeout(self.timeout * 1000.0)
        return Wire(sock, self.transport_factory(sock, *server), text)

    def open_entry(self, entry: Entry, server: tuple[str, int], timeout: float | None) -> ConnectionWrapper:
        """Connect, log in, and choose the keyspace; tells ``connection_created``, or ``connection_failed``."""
        try:
            connection: ConnectionWrapper = ConnectionWrapper.connected(self, entry, server, timeout)
        except Exception as error:
            if self.blames_server(error):
                text = self.text_of(server)
                self.tell("connection_failed", "info", error=error, server=text, connection=None)
            raise
        self.tell("connection_created", "debug", connection=connection)
        return connection

    def close(self, c: ConnectionWrapper) -> None:
        """Close the transport of ``c``, without waiting, from any thread."""
        c.end()

    def check(self, c: ConnectionWrapper, timeout: float | None) -> bool:
        """Say whether ``c`` is open and in step, without I/O."""
        return bool(c._client.in_step())

    def ping(self, c: ConnectionWrapper, timeout: float | None) -> bool:
        """Make a call, so that neither the server nor a firewall closes an idle connection."""
        with c._client.time_limit(_PATIENCE_S if timeout is None else timeout):
            c._client.describe_version()
        return self.check(c, timeout)

    def reset(self, c: ConnectionWrapper) -> None:
        """Restore the pool's keyspace; replace a connection that has made ``recycle`` operations."""
        if c.operation_count > self.recycle >= 0:
            self.pool.replace_recycled(c)
        else:
            c.set_keyspace(self.keyspace)

    def fileno(self, c: ConnectionWrapper) -> int:
        """Give the descriptor of the transport in use."""
        return c.wire.fileno()

    def abandon(self, c: ConnectionWrapper) -> None:
        """Close only the descriptor, in a forked child: the parent goes on using the connection."""
        c._client.abandon()

    # ---- the pool's events, as pycassa's -----------------------------------------------------------------------------

    def dispose(self, pool: Served) -> None:
        """Close the idle connections of ``pool``, each told with pycassa's message."""
        self._disposing.message = f"Pool {id(pool)} is being disposed"
        try:
            pool._retire_idle("cleared", 0)
        finally:
            self._disposing.message = None

    def on_closed(self, event: Any) -> None:
        """A connection was closed."""
        c = event.connection
        if isinstance(c, ConnectionWrapper) and not c._quiet:
            message = getattr(self._disposing, "message", None) or _REASONS[event.reason]
            self.tell("connection_disposed", "debug", connection=c, message=message)

    def on_checked_out(self, event: Any) -> None:
        """A connection was checked out."""
        self.tell("connection_checked_out", "debug", connection=event.connection)

    def on_checked_in(self, event: Any) -> None:
        """A connection came back."""
        if not event.connection._quiet:
            self.tell("connection_checked_in", "debug", connection=event.connection)
