"""The pool's arguments as attributes, most of which can be changed while the pool is in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._config import Config
from . import arguments
from .driver import PycassaDriver


def _live(name: str, check: Callable[[Any], Any], doc: str) -> Any:
    def get(self: LiveArguments) -> Any:
        return getattr(self.driver, name)

    def change(self: LiveArguments, value: Any) -> None:
        setattr(self.driver, name, check(value))

    return property(get, change, doc=doc)


class LiveArguments:
    """Mixed into the pool. A change applies to later operations; open connections keep their settings."""

    driver: PycassaDriver
    config: Config
    _configure: Callable[[Config], None]

    keyspace = _live("keyspace", arguments.keyspace, "The keyspace of new connections.")
    credentials = _live("credentials", arguments.credentials, "The login of new connections; None: no login.")
    timeout = _live("timeout", arguments.timeout, "Seconds for each connect, read and write of new connections.")
    recycle = _live("recycle", lambda n: arguments.whole("recycle", n, -1), "Operations until a replacement; -1: none.")
    max_retries = _live("max_retries", lambda n: arguments.whole("max_retries", n, -1), "Most retries; -1: no limit.")
    socket_factory = _live("socket_factory", lambda f: arguments.function("socket_factory", f), "Makes sockets.")
    transport_factory = _live(
        "transport_factory", lambda f: arguments.function("transport_factory", f), "Makes transports."
    )

    @property
    def max_overflow(self) -> int:
        """How many connections may be open beyond ``pool_size``; -1: no limit. Those are closed when they come back."""
        return self.driver.max_overflow

    @max_overflow.setter
    def max_overflow(self, value: int) -> None:
        sizes = arguments.sizes(self.driver.pool_size, arguments.overflow(value, self.driver.pool_size))
        self._configure(self.config.replaced(**sizes))
        self.driver.max_overflow = value

    @property
    def pool_timeout(self) -> float:
        """How many seconds ``get()`` waits; 0: not at all, -1: no limit."""
        return -1 if self.config.timeout is None else self.config.timeout

    @pool_timeout.setter
    def pool_timeout(self, value: float | None) -> None:
        self._configure(self.config.replaced(timeout=arguments.waiting(value)))

    @property
    def logging_name(self) -> Any:
        """The pool's name in its events and messages; ``id(pool)`` if none was given."""
        return self.driver.pool_id

    @logging_name.setter
    def logging_name(self, value: Any) -> None:
        self.driver.logging_name = value

    @property
    def server_list(self) -> list[Any]:
        """The servers, in the order in which they are asked; ``set_server_list`` changes them."""
        return self.driver.server_list

    @property
    def listeners(self) -> list[Any]:
        """The listeners, the pool's PoolLogger first; ``add_listener`` adds one."""
        return self.driver.events.listeners
