"""SQLite: connections of the standard library's sqlite3."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .dbapi import DBAPI, Ping


class SQLite(DBAPI):
    """Opens ``database`` by ``sqlite3.connect(database, **kwargs)``; ``check_same_thread`` is False.

    ``pragmas``: set on every new connection, as ``{"journal_mode": "WAL", "foreign_keys": True}``. A database
    ``":memory:"`` is another one for each connection; a shared one has a ``file:`` URI, and ``uri=True``. The rest is
    as :class:`DBAPI` says: what was not committed is rolled back, and no exception costs the connection.
    """

    def __init__(
        self,
        database: Any,
        *,
        pragmas: Mapping[str, Any] | None = None,
        ping: Ping = True,
        autocommit: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if pragmas is not None and not isinstance(pragmas, Mapping):
            raise TypeError(f"pragmas must be a dict of names and values, not {pragmas!r}")
        for name in pragmas or ():
            if not isinstance(name, str) or not name.replace("_", "").isalnum():
                raise ValueError(f"pragmas must have names of SQLite's pragmas, not {name!r}")
        self.pragmas = dict(pragmas or {})
        if autocommit is not None:  # before Python 3.12 it is said by the isolation level
            kwargs["isolation_level"] = None if autocommit else kwargs.get("isolation_level", "")
        super().__init__(import_module("sqlite3"), database, ping=ping, **kwargs)

    def prepare(self, c: Any) -> None:
        """Set the pragmas."""
        for name, value in self.pragmas.items():
            c.execute(f"PRAGMA {name} = {int(value) if isinstance(value, bool) else value}").fetchall()
