"""Ready-made drivers: what a pool must know of the usual kinds of connection.

::

    pool = fastpool.Pool(driver=fastpool.drivers.Psycopg("dbname=shop"), servers=["db1:5432", "db2:5432"])

Each is imported when it is first touched, and imports its library when the first one is made. docs/drivers.md says what
each does at connect, check, reset and close. An AsyncPool gives the library's asynchronous connections where it has
them (``Psycopg``, ``Redis``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .dbapi import DBAPI
    from .http import HTTP
    from .imap import IMAP
    from .psycopg import AsyncPsycopg, Psycopg
    from .redis import AsyncRedis, Redis
    from .smtp import SMTP
    from .sqlite import SQLite

__all__ = ["DBAPI", "HTTP", "IMAP", "SMTP", "AsyncPsycopg", "AsyncRedis", "Psycopg", "Redis", "SQLite"]

_MODULES = {name: f".{name.lower().removeprefix('async')}" for name in __all__}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_MODULES[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
