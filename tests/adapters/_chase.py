"""The classes of happybase's issue 21, written anew for Python 3 and thriftpy2: a pool on socketpool's, by its drop-in.

What they do is what they do there: one pool for the process, a connector that wraps a happybase connection, asks the
server whether it is connected, and passes eight of its methods on.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from typing import Any, Self

import happybase

from fastpool.adapters.socketpool import ConnectionPool
from fastpool.adapters.socketpool.conn import TcpConnector

PASSED_ON = (
    "table",
    "tables",
    "create_table",
    "delete_table",
    "enable_table",
    "disable_table",
    "is_table_enabled",
    "compact_table",
)


class ProcessPool:
    """The pool of the issue; later arguments are not looked at."""

    pool: Any = None
    _instance: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if not cls._instance:
            cls._instance = super().__new__(cls)
        instance: Self = cls._instance
        return instance

    def __init__(self, host: str, **options: Any) -> None:
        if not self.pool:
            options["host"] = host
            self.pool = ConnectionPool(
                factory=HappybaseConnector, max_size=options.get("max_size", 10), options=options
            )

    def connection(self, **options: Any) -> Any:
        return self.pool.connection(**options)

    @contextlib.contextmanager
    def table(self, table_name: str) -> Iterator[Any]:
        with self.pool.connection() as connector:
            yield connector.table(table_name)


class HappybaseConnector(TcpConnector):
    """Never calls its base class's constructor: it has no socket of its own."""

    def __init__(self, host: str, port: int, pool: Any = None, **kwargs: Any) -> None:
        self.host = host
        self.port = port
        self.connection = happybase.Connection(self.host, self.port)
        self._connected = True
        self._life = time.time() - random.randint(0, 10)
        self._pool = pool
        self.logging = kwargs.get("logging")

    def is_connected(self) -> bool:
        if self._connected and self.connection.transport.is_open():
            try:
                self.connection.tables()
                return True
            except Exception:
                pass
        return False

    def handle_exception(self, exception: Exception) -> None:
        self.logging.error(exception)

    def invalidate(self) -> None:
        self.connection.close()
        self._connected = False
        self._life = -1

    def open(self) -> None:
        pass

    def close(self) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        if name in PASSED_ON:
            return getattr(self.connection, name)
        raise AttributeError(name)
