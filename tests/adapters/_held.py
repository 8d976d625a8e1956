"""A guarded connection that is leased, without a pool."""

from __future__ import annotations

from fastpool.adapters.happybase.connection import GuardedConnection
from fastpool.adapters.happybase.wire import Wire

from ._entry import FakeEntry
from ._scripted import ScriptedServer


class Held:
    """A guarded connection with a held lease."""

    def __init__(self, server: ScriptedServer, **kwargs: object) -> None:
        self.entry = FakeEntry()
        arguments = {**server.connect, **kwargs}
        wire = Wire(*(arguments.pop(name, None) for name in ("ssl_context", "socket_factory", "transport_factory")))
        self.connection = GuardedConnection(self.entry, wire, **arguments)
        self.connection.connect(None, 5.0)
        self.entry.lease()

    def end(self) -> None:
        self.connection.end()

    def row(self, key: bytes = b"k") -> dict[bytes, bytes]:
        return self.connection.table("t").row(key)
