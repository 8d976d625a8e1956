"""The base of the replaced pools, of those that block and of those that are awaited."""

# mypy: disallow-subclassing-any=False, disallow-untyped-calls=False, warn-return-any=False

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..._config import MOST_CONNECTIONS
from .arguments import check_servers, options_among, sized
from .driver import driver_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._config import Config
    from .driver import RedisDriver

_SECRET = frozenset({"password", "username", "ssl_password", "credential_provider"})
_INTERNAL = frozenset({"himport_registry"})


class _derived(property):
    """A property that redis-py's constructors may set, to no effect."""

    def __set__(self, instance: Any, value: Any) -> None:
        pass


class Common:
    """Mixed into the pools, in front of everything else.

    ``_library``: redis-py's class, whose ``__init__`` takes the arguments. ``_kind``: the class of the driver;
    ``_mixins``: what it has besides, with connections of the user's own kind (``_unknown``), with keepalive
    (``_pinging``). ``_is_tracked(connection_class)``: whether it is of redis-py's kind.
    """

    _library: Any
    _kind: type[RedisDriver]
    _mixins: tuple[type, ...] = ()
    _unknown: type
    _pinging: type
    _is_tracked: Callable[[Any], bool]

    if TYPE_CHECKING:
        config: Config
        connection_class: Any
        connection_kwargs: dict[str, Any]

        def _configure(self, config: Config) -> None: ...
        def _counts(self) -> tuple[Any, ...]: ...
        def _retire_idle(self, reason: str, keep: int) -> int: ...
        def _drop_leased(self) -> int: ...
        def clear(self, reason: str | None = None) -> None: ...

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:
        options = {"timeout": 0, **options_among(kwargs)}
        self._library.__init__(self, *arguments, **kwargs)
        check_servers(options, self.connection_class, self.connection_kwargs)
        mixins = (
            *self._mixins,
            *(() if self._is_tracked(self.connection_class) else (self._unknown,)),
            *(() if options.get("keepalive") is None else (self._pinging,)),
        )
        driver = driver_of(self._kind, mixins, arguments, kwargs)
        super().__init__(driver=driver, **sized(options, self.max_connections))  # type: ignore[call-arg]

    @property
    def driver_of_redis(self) -> RedisDriver:
        """The driver that knows redis-py's connections; an AsyncPool has it wrapped in one of its own."""
        return self.driver  # type: ignore[attr-defined]

    def _start(self, driver: Any, config: Config) -> None:
        inner = getattr(driver, "inner", driver)
        if not hasattr(self, "connection_class"):
            self._library.__init__(self, *inner.arguments, **inner.kwargs)  # a pool that was unpickled
        inner.use(self)
        self._tells_release = "event_dispatcher" in inner.kwargs
        super()._start(driver, config)  # type: ignore[misc]

    def _forked(self) -> None:
        self.driver_of_redis.use(self)
        super()._forked()  # type: ignore[misc]

    def reset(self) -> None:
        """Forget all connections, and begin anew: idle ones are closed, those in use are left to their holders."""
        if self.config is None:
            return  # redis-py's constructor calls this
        driver = self.driver_of_redis
        self._retire_idle("cleared", 0)
        driver.forgotten.update((id(c), c) for c in driver.leased())
        self._drop_leased()

    def _sign_in_anew(self, token: Any) -> None:
        """A token has expired: no connection that was opened with it is handed out any more."""
        for c in self.driver_of_redis.leased():
            if hasattr(c, "set_re_auth_token"):
                c.set_re_auth_token(token)
        self.clear("a new token")

    # ---- what they say of themselves

    def __repr__(self) -> str:
        kind, of = type(self), self.connection_class
        shown = ",".join(
            f"{name}={'<REDACTED>' if name in _SECRET else value}"
            for name, value in self.connection_kwargs.items()
            if name not in _INTERNAL
        )
        return f"<{kind.__module__}.{kind.__name__}(<{of.__module__}.{of.__name__}({shown})>)>"

    def __del__(self) -> None:
        """Do nothing: redis-py's pools report to redis-py's metrics here."""

    def get_protocol(self) -> Any:
        """The version of the protocol that was asked for; None: redis-py's default."""
        return self.connection_kwargs.get("protocol")

    def get_connection_count(self) -> list[tuple[int, dict[str, Any]]]:
        """How many connections are idle, and how many in use, each with attributes for a metric."""
        try:
            return super().get_connection_count()  # type: ignore[misc]
        except AttributeError:  # redis-py before 7
            idle, leased, *_ = self._counts()
            state = "db.client.connection.state"
            return [(idle, {state: "idle"}), (leased, {state: "used"})]

    @property
    def max_connections(self) -> int:
        """The most connections that are open at once. May be set."""
        return self._max_connections

    @max_connections.setter
    def max_connections(self, value: int) -> None:
        self._max_connections = value
        if self.config is not None:  # redis-py's constructor sets it first
            size = min(value, MOST_CONNECTIONS)
            self._configure(self.config.replaced(max_size=size, max_connecting=size))
            self._retire_idle("resized", size)

    @property
    def timeout(self) -> float | None:
        """How many seconds a checkout may take; None: no limit. May be set."""
        return self.config.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._configure(self.config.replaced(timeout=seconds))

    # ---- what redis-py's own code, and code that was written for it, looks at

    @_derived
    def pid(self) -> int:
        """The process; a connection with another ``pid`` was opened in the parent."""
        return os.getpid()

    @_derived
    def _available_connections(self) -> list[Any]:
        return self._get_free_connections()

    @_derived
    def _in_use_connections(self) -> set[Any]:
        return self._get_in_use_connections()

    def _get_free_connections(self) -> list[Any]:
        return self.driver_of_redis.idle()

    def _get_in_use_connections(self) -> set[Any]:
        return set(self.driver_of_redis.leased())
