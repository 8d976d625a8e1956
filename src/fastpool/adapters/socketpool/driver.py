"""The driver for connectors: makes them with the factory, and asks their own methods about their state."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..._driver import Driver
from .conn import SocketConnector, seconds_left
from .errors import MaxConnectionsError, MaxTriesError, PoolDeadlock
from .util import load_backend

if TYPE_CHECKING:
    from ..._core import Entry


_OF_THIS_PROCESS = {"backend_mod", "pool", "has_servers", "entries", "addresses"}
_LOOKS_AT_SOCKET = SocketConnector.is_connected


class ConnectorDriver(Driver[Any]):
    """Opens connectors with ``factory(**options)``, at most ``retry_max`` times a checkout.

    ``options`` override those of a checkout. MaxTriesError if no new connector is connected; the factory's last error
    if it raised one.
    """

    exhausted_error = MaxConnectionsError
    deadlock_error = PoolDeadlock

    def __init__(
        self,
        factory: Callable[..., Any],
        options: dict[str, Any],
        retry_max: int,
        retry_delay: float,
        max_lifetime: float | None,
        reap_delay: float,
        reaps: bool,
        backend: str | ModuleType,
    ) -> None:
        self.factory = factory
        self.options = options
        self.retry_max = retry_max
        self.retry_delay = retry_delay
        self.max_lifetime = max_lifetime
        self.reap_delay = reap_delay
        self.reaps = reaps
        self.backend = backend if isinstance(backend, str) else str(getattr(backend, "__name__", backend))
        self.use(load_backend(backend) if isinstance(backend, str) else backend)

    def use(self, backend_mod: Any, pool: Any = None, has_servers: bool = False) -> None:
        """Set the state of this process: the backend's module, the pool, and the entries of its slots."""
        self.backend_mod = backend_mod
        self.pool: Callable[[], Any] = (lambda: None) if pool is None else weakref.ref(pool)
        self.has_servers = has_servers
        self.entries: dict[int, Entry] = {}
        self.addresses: dict[int, tuple[str, int]] = {}  # with `servers`: id(connector) -> where it is connected

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_THIS_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.use(load_backend(self.backend))

    def merged(self, options: dict[str, Any]) -> dict[str, Any]:
        """A checkout's options, overridden by the pool's."""
        return {**options, **self.options} if options else self.options

    def address_of(self, c: Any) -> dict[str, Any]:
        """The options that `servers` gave for a connector: no checkout asks for them."""
        host, port = self.addresses.get(id(c), (None, None))
        return {"host": host, "port": port}

    def idle(self) -> list[Any]:
        """The connectors that look idle, read without taking them."""
        found = [(entry.held, entry.connection) for entry in list(self.entries.values())]
        return [c for held, c in found if not held and c is not None]

    def open_entry(self, entry: Entry, server: tuple[str, int] | None, timeout: float | None) -> Any:
        """Make a connector with the options of the checkout, or with the pool's own."""
        self.entries[entry.index] = entry
        options = dict(self.options if entry.request is None else entry.request)
        if server is not None:
            options["host"], options["port"] = server
        c = self._made({**options, "backend_mod": self.backend_mod, "pool": self.pool()}, timeout)
        if server is not None:
            self.addresses[id(c)] = server
        return c

    def _made(self, options: dict[str, Any], timeout: float | None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        last: Exception | None = None
        tries = 0
        while tries < self.retry_max:
            left = None if deadline is None else deadline - time.monotonic()
            if tries:
                if left is not None and left <= self.retry_delay:
                    break
                self.backend_mod.sleep(self.retry_delay)
                left = None if left is None else left - self.retry_delay
            tries += 1
            bound = seconds_left.set(left)
            try:
                c = self.factory(**options)
                if c.is_connected():
                    return c
                self._drop(c)
            except Exception as error:
                last = error
            finally:
                seconds_left.reset(bound)
        try:
            raise last or MaxTriesError(
                f"{self.factory!r} made {tries} connections, and none of them was connected "
                "(is_connected() is false): is the server up, and are the options right?"
            )
        finally:
            last = None  # its traceback refers to this frame

    def _drop(self, c: Any) -> None:
        try:
            c.invalidate()
        except Exception:
            pass  # it was not connected anyway

    def close(self, c: Any) -> None:
        """Tell the connector to close."""
        self.addresses.pop(id(c), None)
        c.invalidate()

    def check(self, c: Any, timeout: float | None) -> bool:
        """Ask the connector. The pool has just probed its descriptor, so our own sockets are not probed again."""
        if type(c).is_connected is _LOOKS_AT_SOCKET:
            return bool(c._connected and not c._broken and not c._unread)
        return bool(c.is_connected())

    def fit(self, c: Any) -> bool:
        """Whether a returned connector may stay: ``check`` and ``too_old`` in one call."""
        if type(c).is_connected is _LOOKS_AT_SOCKET:
            if not c._connected or c._broken or c._unread:
                return False
        elif not c.is_connected():
            return False
        try:
            return self.max_lifetime is None or time.time() - c.get_lifetime() <= self.max_lifetime
        except NotImplementedError:
            return True

    def ping(self, c: Any, timeout: float | None) -> bool:
        """Ask whether it is connected, and young enough."""
        return bool(c.is_connected()) and not self.too_old(c)

    def usable(self, c: Any, exc: BaseException) -> bool:
        """Call ``handle_exception``; keep the connector if it is still connected and not too old."""
        try:
            c.handle_exception(exc)
        except NotImplementedError:
            pass  # optional
        return self.ping(c, None)

    def too_old(self, c: Any) -> bool:
        """Whether its time is over, by its own ``get_lifetime()``; False for a connector without one."""
        age = None if self.max_lifetime is None else age_of(c)
        return age is not None and self.max_lifetime is not None and age > self.max_lifetime


def age_of(c: Any) -> float | None:
    """The connector's age in seconds by its own ``get_lifetime()``; None if it has none."""
    try:
        return float(time.time() - c.get_lifetime())
    except NotImplementedError:
        return None
