"""The driver for redis-py's connections."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import redis

from ..._driver import Driver
from .errors import AllServersUnavailable, MaxConnectionsError, NoConnectionsAvailable, PoolDeadlock
from .owed import Owed
from .tracked import Tracked

if TYPE_CHECKING:
    from ..._core import Entry


class RedisDriver(Driver[Any]):
    """Opens the connections that the pool's ``make_connection`` makes.

    ``arguments``, ``kwargs``: what the pool was given for redis-py's pool of the same name.
    """

    exhausted_error = MaxConnectionsError
    deadlock_error = PoolDeadlock
    exhausted_message = "Too many connections"
    size_option = "max_connections"

    def __init__(self, arguments: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.arguments = arguments
        self.kwargs = kwargs
        self.use(None)

    def use(self, pool: Any) -> None:
        """Set what belongs to this process: the pool, and the entries of its slots."""
        self.pool: Callable[[], Any] = (lambda: None) if pool is None else weakref.ref(pool)
        self.entries: dict[int, Entry] = {}
        self.forgotten: dict[int, Any] = {}  # by id: connections that reset() leaves to their holders

    def __reduce__(self) -> Any:
        *mixins, base = type(self).__bases__
        return driver_of, (base, tuple(mixins), self.arguments, self.kwargs)

    # ---- the connections, by their states

    def idle(self) -> list[Any]:
        """The connections that look idle, without taking them."""
        return [c for held, c in self._now() if not held]

    def leased(self) -> list[Any]:
        """The connections that are out now."""
        return [c for held, c in self._now() if held]

    def _now(self) -> list[tuple[bool, Any]]:
        found = [(entry.held, entry.connection) for entry in list(self.entries.values())]
        return [(held, c) for held, c in found if c is not None]

    # ---- what the pool calls

    def made(self, entry: Entry, server: tuple[str, int] | None) -> Any:
        """A connection for this slot, to that server, not connected yet."""
        self.entries[entry.index] = entry
        c = self.pool().make_connection()
        if server is not None:
            inside(c).host, inside(c).port = server
        return c

    def open_entry(self, entry: Entry, server: tuple[str, int] | None, timeout: float | None) -> Any:
        """Make and connect a connection; whatever redis-py raises is the caller's."""
        pool = self.pool()
        if getattr(pool, "_in_maintenance", False):
            with pool._lock:  # redis-py changes the arguments of connections
                pass
        c = self.made(entry, server)
        inner = inside(c)
        try:
            with bounded(inner, timeout):
                c.connect()
        except BaseException:
            c.disconnect()
            raise
        if isinstance(inner, Tracked):
            inner._entry = entry
            inner._pushes = inner._pushes or inner is not c  # a cache is told of invalid keys
        return c

    def close(self, c: Any) -> Any:
        """Disconnect."""
        if self.let_go(c):
            c.disconnect()

    def let_go(self, c: Any) -> bool:
        """Have ``c`` note no more in its slot, which gets another connection; returns whether to close it."""
        inner = inside(c)
        if isinstance(inner, Owed):
            inner._entry = None
        return self.forgotten.pop(id(c), None) is None

    def abandon(self, c: Any) -> None:
        """Forget an inherited connection; redis-py's finalizer sends nothing in a child."""
        self.let_go(c)

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Keep it: one to which a reply is owed has a mark that says so."""
        return True

    def blames_server(self, error: Exception) -> bool:
        """Wrong credentials are wrong for every server."""
        return not isinstance(error, (redis.AuthenticationError, redis.ResponseError))

    def none_left(self, error: BaseException) -> BaseException:
        """AllServersUnavailable as redis-py's ConnectionError, too; the only server's error as it is."""
        if type(error) is not AllServersUnavailable.__mro__[1]:
            return error
        other = AllServersUnavailable(*error.args)
        other.__cause__ = error.__cause__
        return other


class Waiting:
    """Mixed into the driver of a pool whose callers wait."""

    exhausted_error = NoConnectionsAvailable
    exhausted_message = "No connection available."


class Unknown:
    """Mixed into the driver of connections of the user's own kind, which are asked as redis-py's pool asks them."""

    def fileno(self, c: Any) -> int:
        """Give the descriptor, if it has one; ConnectionError for a connection that is closed or out of step."""
        should_reconnect = getattr(c, "should_reconnect", None)
        if (should_reconnect is not None and should_reconnect()) or c.can_read():
            raise redis.ConnectionError(f"{c!r} is out of step: the server has sent what nobody has read")
        return Driver.fileno(self, c)  # type: ignore[arg-type]

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Close it: nobody knows whether a reply is still to come."""
        return False


class Pinging:
    """Mixed into the driver of a pool with ``keepalive``. Without, no checkout asks for a check."""

    def ping(self, c: Any, timeout: float | None) -> bool:
        """Send PING, and read the answer."""
        inner = inside(c)
        with bounded(inner, timeout):
            inner.send_command("PING", check_health=False)
            inner.read_response()
        return True


def inside(c: Any) -> Any:
    """The connection behind the one that answers from redis-py's cache; else ``c``."""
    return getattr(c, "_conn", c)


@contextmanager
def bounded(c: Any, timeout: float | None) -> Iterator[None]:
    """Bound each wait of ``c`` by ``timeout`` seconds in this block, if its own timeouts are longer."""
    if timeout is None or not isinstance(c, Tracked):
        yield
        return
    least = max(timeout, 0.001)  # 0 would mean: do not block
    before = c.socket_timeout, c.socket_connect_timeout
    c.socket_timeout, c.socket_connect_timeout = (least if own is None else min(own, least) for own in before)
    c._apply_timeout()
    try:
        yield
    finally:
        c.socket_timeout, c.socket_connect_timeout = before
        c._apply_timeout()


def driver_of(base: type, mixins: tuple[type, ...], arguments: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A driver of the class ``base`` with these mixins in front."""
    return _driver_class(base, mixins)(arguments, kwargs)


@lru_cache(maxsize=64)
def _driver_class(base: type, mixins: tuple[type, ...]) -> Any:
    return type(base.__name__, (*mixins, base), {})
