"""A DB-API module without a database: its connections record what they are told, and are lost when a test says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from tests.pool.fake_driver import PATIENCE

apilevel = "2.0"
threadsafety = 2
paramstyle = "qmark"


class Error(Exception):
    pass


class DatabaseError(Error):
    pass


class OperationalError(DatabaseError):
    pass


class InterfaceError(Error):
    pass


class InternalError(DatabaseError):
    pass


class IntegrityError(DatabaseError):
    pass


made: list[Connection] = []
refuses: list[Exception] = []  # what the next connects raise, one each


def connect(*args: Any, **kwargs: Any) -> Connection:
    if refuses:
        raise refuses.pop(0)
    made.append(Connection(args, kwargs))
    return made[-1]


class Connection:
    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs
        self.number = len(made)
        self.said: list[str] = []
        self.lost = self.over = False

    def _say(self, word: str) -> None:
        if self.lost or self.over:
            raise OperationalError(f"connection {self.number} was lost")
        self.said.append(word)

    def ping(self) -> None:
        self._say("ping")

    def commit(self) -> None:
        self._say("commit")

    def rollback(self) -> None:
        self._say("rollback")

    def close(self) -> None:
        self.over = True

    def cursor(self) -> Cursor:
        self._say("cursor")
        return Cursor(self)


class Cursor:
    description = None

    def __init__(self, con: Connection) -> None:
        self.con = con

    def execute(self, statement: str) -> None:
        if statement == "twice":
            raise IntegrityError(statement)
        self.con._say(statement)

    def close(self) -> None:
        self.con._say("cursor closed")


def fresh() -> Iterator[None]:
    """For a fixture: forget the connections of the test before."""
    made.clear()
    yield
    refuses.clear()


class Thread(threading.Thread):
    """Runs a function, and has its result."""

    def __init__(self, function: Any) -> None:
        super().__init__(daemon=True)
        self.function = function
        self.result: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.function()
        except Exception as error:
            self.result = error

    def ended(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive()
        return self.result
