"""Database connections without a database, and a record of the events that a pool of SQLAlchemy's tells."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

EVENTS = (
    "connect", "first_connect", "checkout", "checkin", "reset", "invalidate", "soft_invalidate", "close", "detach",
    "close_detached",
)  # fmt: skip


class Connection:
    """A DBAPI's connection on one end of a socket pair, whose other end is the server."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sock, self.peer = socket.socketpair()
        self.rollbacks = self.commits = 0

    def fileno(self) -> int:
        fd = self.sock.fileno()
        if fd < 0:
            raise ValueError("the connection has been closed")
        return fd

    @property
    def closed(self) -> bool:
        return self.sock.fileno() < 0

    def close(self) -> None:
        self.sock.close()

    def rollback(self) -> None:
        self.fileno()
        self.rollbacks += 1

    def commit(self) -> None:
        self.commits += 1


class Database:
    """Makes such connections, or refuses to."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.refusal: Exception | None = None

    def connect(self) -> Connection:
        if self.refusal is not None:
            raise self.refusal
        self.made.append(Connection(len(self.made)))
        return self.made[-1]

    @property
    def open(self) -> int:
        return sum(not c.closed for c in self.made)


@contextlib.contextmanager
def database() -> Iterator[Database]:
    db = Database()
    try:
        yield db
    finally:
        for c in db.made:
            c.sock.close()
            c.peer.close()


def heard(pool: Pool) -> list[str]:
    """The names of the events that ``pool`` tells from now on."""
    names: list[str] = []

    def listener(name: str) -> Callable[..., Any]:
        return lambda *args: names.append(name)

    for name in EVENTS:
        event.listen(pool, name, listener(name))
    return names
