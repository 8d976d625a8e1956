"""Connections that cost nothing, each with the part of its kind's interface that its pool uses."""

from __future__ import annotations

import os
from typing import Any, Self


class Stub:
    """A connection that does nothing; enough for fastpool, SQLAlchemy and a plain queue."""

    def close(self) -> None:
        pass

    def rollback(self) -> None:
        pass

    def commit(self) -> None:
        pass

    def cursor(self) -> Any:
        return self


class PgStatus:
    """psycopg's low-level connection, as far as psycopg_pool uses it: idle."""

    transaction_status = 0


class PgStub(Stub):
    """A psycopg connection that does nothing."""

    pgconn = PgStatus()
    _tpc = None
    closed = False
    autocommit = False

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> PgStub:
        return cls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class RedisStub(Stub):
    """A redis-py connection that is always connected and never has anything to read."""

    def __init__(self, **kwargs: Any) -> None:
        self.pid = os.getpid()

    def connect(self) -> None:
        pass

    def disconnect(self, *args: object) -> None:
        pass

    def can_read(self, timeout: float = 0) -> bool:
        return False

    def should_reconnect(self) -> bool:
        return False

    def re_auth(self) -> None:
        pass


class DbApi:
    """A DB-API module whose connections are stubs; ``threadsafety`` 1 means that connections are not shared."""

    apilevel = "2.0"
    threadsafety = 1
    paramstyle = "qmark"

    class Error(Exception):
        pass

    class OperationalError(Error):
        pass

    class InterfaceError(Error):
        pass

    class InternalError(Error):
        pass

    connect = Stub


class AsyncStub(Stub):
    """A connection that does nothing, for pools that await its close."""

    async def close(self) -> None:  # type: ignore[override]
        pass


class AsyncRedisStub(RedisStub):
    """A redis-py connection, as far as redis.asyncio's pool uses it."""

    async def connect(self) -> None:  # type: ignore[override]
        pass

    async def disconnect(self, *args: object, **kwargs: object) -> None:  # type: ignore[override]
        pass

    async def can_read(self, timeout: float = 0) -> bool:  # type: ignore[override]
        return False

    async def re_auth(self) -> None:  # type: ignore[override]
        pass


class AsyncPgProtocol:
    """asyncpg's protocol, as far as its pool uses it: nothing was sent, nothing is being cancelled."""

    queries_count = 0
    server_version = "16.0"

    def get_settings(self) -> Any:
        return self

    def _is_cancelling(self) -> bool:
        return False
