"""A guarded connection that is leased, without a pool."""

from __future__ import annotations

from fastpool.adapters.happybase.connection import GuardedConnection

from ._entry import FakeEntry
from ._scripted import ScriptedServer


class Held:
    """A guarded connection with a held lease."""

    def __init__(self, server: ScriptedServer, **kwargs: object) -> None:
        self.entry = FakeEntry()
        self.connection = GuardedConnection(self.entry, **server.connect, **kwargs)
        self.connection.connect(None, 5.0)
        self.entry.lease()

    def end(self) -> None:
        self.connection.end()

    def row(self, key: bytes = b"k") -> dict[bytes, bytes]:
        return self.connection.table("t").row(key)
