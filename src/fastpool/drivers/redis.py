"""Redis: redis-py's clients, each with one connection of its own, synchronous and asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._driver import Driver

if TYPE_CHECKING:
    import redis
    import redis.asyncio

_TIMEOUT_S = 5.0


class _Client(Driver[Any]):
    """Common to both: the arguments of a client."""

    def __init__(self, host: str = "localhost", port: int = 6379, db: int = 0, **kwargs: Any) -> None:
        import redis  # noqa: F401  # an ImportError here, not at the first connect

        if not isinstance(host, str):
            raise TypeError(f"host must be a host or a URL, not {host!r}")
        for name in ("single_connection_client", "connection_pool"):
            if name in kwargs:
                raise TypeError(f"{name} cannot be given: each client has one connection, which the pool lends")
        self.host, self.port, self.db = host, port, db
        self.kwargs = kwargs

    def client(self, kind: Any, retry: Any, server: Any, timeout: float | None) -> Any:
        """A client that has not connected yet."""
        given: dict[str, Any] = {"socket_timeout": _TIMEOUT_S, "retry": retry, **self.kwargs}
        if timeout is not None:
            given.setdefault("socket_connect_timeout", timeout)
        if server is not None:
            given["host"], given["port"] = server
        elif "://" not in self.host:
            given["host"], given["port"] = self.host, self.port
        if "://" in self.host:
            return kind.from_url(self.host, single_connection_client=True, **given)
        return kind(db=self.db, single_connection_client=True, **given)

    def usable(self, c: Any, exc: BaseException) -> bool:
        """After an error that the server replied with, or that was found before anything was sent."""
        import redis

        return isinstance(exc, (redis.ResponseError, redis.WatchError, redis.DataError))

    def blames_server(self, error: Exception) -> bool:
        """Say no for wrong credentials and arguments."""
        import redis

        return not isinstance(error, (TypeError, ValueError, redis.AuthenticationError, redis.ResponseError))


class Redis(_Client, Driver["redis.Redis"]):
    """Opens ``redis.Redis(host, port, db, **kwargs)``, each with one connection of its own; ``host`` may be a URL.

    With ``servers``, host and port are theirs. ``socket_timeout`` is 5 s unless it is given. A client is checked by
    PING, within the time for that, and is replaced if a reply waits that nobody has read. When it comes back, UNWATCH
    undoes a WATCH left behind. Errors that the server replied with cost no connection. In an AsyncPool it gives
    ``redis.asyncio`` clients.

    redis-py does not retry by itself here: the pool replaces what is dead. ImportError without redis-py.
    """

    def awaited(self) -> AsyncRedis:
        """Give the driver for an AsyncPool."""
        return AsyncRedis(self.host, self.port, self.db, **self.kwargs)

    def connect(self, server: Any, timeout: float | None) -> redis.Redis:
        """Connect, and PING: redis-py connects at the first command."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        c: redis.Redis = self.client(redis.Redis, Retry(NoBackoff(), 0), server, timeout)
        try:
            c.ping()
        except BaseException:
            c.close()
            raise
        return c

    def close(self, c: redis.Redis) -> None:
        """Close the client's connections."""
        c.close()

    def check(self, c: redis.Redis, timeout: float | None) -> bool:
        """Send PING, and wait for ``timeout`` at most; what was not read before means dead."""
        connection: Any = c.connection
        if connection is None or connection.can_read(0):
            return False
        connection.send_command("PING")
        if not connection.can_read(_TIMEOUT_S if timeout is None else timeout):
            return False
        return connection.read_response() in (b"PONG", "PONG")

    def reset(self, c: redis.Redis) -> None:
        """Send UNWATCH. ValueError if that is queued: the holder has left a transaction open by MULTI."""
        _see_answered(c.execute_command("UNWATCH"))  # type: ignore[no-untyped-call]  # redis-py has no types for it


class AsyncRedis(_Client, Driver["redis.asyncio.Redis"]):
    """Opens ``redis.asyncio.Redis``, for an AsyncPool; in all else as :class:`Redis`."""

    async def connect(self, server: Any, timeout: float | None) -> redis.asyncio.Redis:
        """Connect, and PING: redis-py connects at the first command."""
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        c: Any = self.client(redis.asyncio.Redis, Retry(NoBackoff(), 0), server, timeout)
        try:
            await c.ping()
        except BaseException:
            await c.aclose()
            raise
        return c  # type: ignore[no-any-return]

    async def close(self, c: Any) -> None:
        """Close the client's connections."""
        await c.aclose()

    async def check(self, c: Any, timeout: float | None) -> bool:
        """Send PING; the pool ends the wait after ``timeout``."""
        return bool(await c.ping())

    async def reset(self, c: Any) -> None:
        """Send UNWATCH, as Redis does."""
        _see_answered(await c.execute_command("UNWATCH"))


def _see_answered(reply: Any) -> None:
    if reply in (False, b"QUEUED", "QUEUED"):  # redis-py takes all but OK for False
        raise ValueError("a transaction was begun by MULTI, and neither executed nor discarded")
