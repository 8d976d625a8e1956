"""The base of FastPool and AsyncFastPool: a pool of SQLAlchemy's kind around one of fastpool's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from sqlalchemy.pool import Pool, reset_none
from sqlalchemy.pool.base import _ConnectionFairy

from ..._core import pools_here
from ..._errors import PoolError
from .arguments import OPTIONS, checked_sizes, most_idle, most_open
from .errors import as_sqlalchemys
from .raw import is_closed
from .readings import Readings
from .servers import listen_to


class SharedPool(Readings, Pool):
    """The arguments and the life of the pool."""

    def __init__(
        self,
        creator: Any,
        pool_size: int = 5,
        max_overflow: int = 10,
        timeout: float | None = 30.0,
        use_lifo: bool = False,
        min_size: Any = ...,
        order: Any = ...,
        max_idle: Any = ...,
        max_waiting: Any = ...,
        max_lifetime: Any = ...,
        idle_timeout: Any = ...,
        max_uses: Any = ...,
        check_timeout: Any = ...,
        check_after: Any = ...,
        keepalive: Any = ...,
        max_connecting: Any = ...,
        servers: Any = ...,
        balance: Any = ...,
        backoff: Any = ...,
        leak_after: Any = ...,
        listeners: Any = ...,
        open: Any = ...,
        name: Any = ...,
        timing: Any = ...,
        reclaim: Any = ...,
        collect_garbage: Any = ...,
        shared: Any = ...,
        shared_max: Any = ...,
        **kw: Any,
    ) -> None:
        # Each option is an argument by name: create_engine() passes on only what it finds in this signature.
        arguments = dict(locals())
        super().__init__(creator, **kw)
        self._size, self._most_over = checked_sizes(pool_size, max_overflow)
        self._given = {option: arguments[option] for option in OPTIONS if arguments[option] is not ...}
        if self._given.get("open") and "dialect" in kw:
            raise ValueError(
                "open=True cannot be given to create_engine(): connections opened so early would miss what the engine "
                "prepares them with; call engine.pool.open() after it"
            )
        if self._given.get("servers") is not None:
            listen_to(self._dialect)  # before the listeners of the user, one of which may connect
        self._use_lifo = bool(use_lifo)
        self._disposed = False
        self._pool = self._new_pool(self._options(timeout))
        self._pool.maxsize = self._size
        # One call less for each checkout and checkin, unless a subclass has a method of its own.
        if type(self)._do_get is SharedPool._do_get:
            self._do_get = self._taker()  # type: ignore[method-assign]
        if type(self)._do_return_conn is SharedPool._do_return_conn:
            self._do_return_conn = self._give_back()  # type: ignore[method-assign]

    def _new_pool(self, options: dict[str, Any]) -> Any:
        raise NotImplementedError

    def _options(self, timeout: float | None) -> dict[str, Any]:
        """The options of the pool of records."""
        most = most_open(self._size, self._most_over)
        defaults = {
            "max_idle": most_idle(self._size, self._most_over),
            "max_connecting": most,
            "order": "lifo" if self._use_lifo else "fifo",
            "name": self._orig_logging_name,
        }
        return {**defaults, **self._given, "max_size": most, "timeout": timeout, "open": False}

    def _driver(self, plain: Any, pinging: Any) -> Any:
        """A driver that pings only if an option asks for it."""
        checks = self._given.get("check_after") is not None
        return pinging(self, checks) if checks or self._given.get("keepalive") is not None else plain(self)

    # ---- checkout and checkin

    def connect(self) -> Any:
        """Check a connection out; its ``close()`` returns it.

        TimeoutError if none is free within ``timeout``, PoolOverloaded, PoolClosed, or what connecting raises.
        """
        try:
            return _ConnectionFairy._checkout(self)
        except PoolError as error:
            raise as_sqlalchemys(error) from error.__cause__

    def _do_get(self) -> Any:
        return self._taker()()

    def _taker(self) -> Callable[[], Any]:
        """Return the function that checks a record out."""
        raise NotImplementedError

    def _do_return_conn(self, record: Any) -> None:
        self._give_back()(record)

    def _give_back(self) -> Any:
        """Return the function that takes a record back: the pool's own, unless a connection may come back closed."""
        return self._pool.checkin if self._reset_on_return is not reset_none else self._look_and_give_back

    def _look_and_give_back(self, record: Any) -> None:
        """Take a record back whose connection was sent nothing: its holder may have closed it."""
        self._pool.checkin(record, record.dbapi_connection is not None and is_closed(record.driver_connection))

    # ---- dispose and recreate

    def recreate(self) -> Self:
        """A new pool with the same arguments and listeners.

        After ``dispose()`` what is still out of this one is closed when it comes back.
        """
        self.logger.info("Pool recreating")
        if self._disposed:
            self._retire()
        return type(self)(
            self._creator,
            pool_size=self._size,
            max_overflow=self._most_over,
            timeout=self._timeout,
            use_lifo=self._use_lifo,
            recycle=self._recycle,
            pre_ping=self._pre_ping,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            dialect=self._dialect,
            _dispatch=self.dispatch,
            **{**self._given, **({"open": False} if "open" in self._given else {})},
        )

    def dispose(self) -> None:
        """Close the idle connections, and open none ahead of use until the next checkout."""
        pool = self._pool
        pool._begin_anew()
        self._disposed = True
        pool._retire_idle("cleared", 0)
        self._await_closes()
        self.logger.info("Pool disposed. %s", self.status())

    def _await_closes(self) -> None:
        """Wait until the connections that are being closed are closed."""

    def _retire(self) -> None:
        """Close what is out when it comes back, and leave the pool's name to its successor."""
        pool = self._pool
        self._disposed = False
        pool.clear("disposed")
        pools_here.drop(pool.name, [pool])
        pools_here.add(f"{pool.name}, disposed", pool)  # a fork must still be told to it

    # ---- sizes

    def clear(self, reason: str | None = None) -> None:
        """Replace all connections of now: idle ones at once, those that are out when they come back."""
        self._pool.clear(reason)

    def resize(self, pool_size: Any = ..., max_overflow: Any = ..., min_size: Any = ..., max_idle: Any = ...) -> None:
        """Change the sizes while the pool is in use; each has the meaning it has in the constructor."""
        size, over = checked_sizes(
            self._size if pool_size is ... else pool_size, self._most_over if max_overflow is ... else max_overflow
        )
        given = {name: value for name, value in (("min_size", min_size), ("max_idle", max_idle)) if value is not ...}
        kept = {**self._given, **given}
        self._pool.resize(
            max_size=most_open(size, over),
            max_idle=kept.get("max_idle", most_idle(size, over)),
            min_size=kept.get("min_size", 0),
        )
        self._size, self._most_over, self._given = size, over, kept
        self._pool.maxsize = size
