"""Connectors without sockets, for the tests of the socketpool drop-in; they remember what was asked of them."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from fastpool.adapters.socketpool import Connector


class Fake(Connector):
    """Matches a request with the same `host`; the class lists all that were made."""

    made: ClassVar[list[Fake]] = []  # replaced by the fixture `fake`
    refusals: ClassVar[list[Any]] = []  # what the next calls of the factory raise, or None; then all succeed

    def __init__(self, **options: Any) -> None:
        type(self).made.append(self)
        failure = type(self).refusals.pop(0) if type(self).refusals else None
        if failure is not None:
            raise failure
        self.options = options
        self.alive = True
        self.life = time.time()
        self.asked = 0
        self.invalidated = 0
        self.told: list[Exception] = []

    def matches(self, **options: Any) -> bool:
        return bool(options.get("host") == self.options.get("host"))

    def is_connected(self) -> bool:
        self.asked += 1
        return self.alive

    def handle_exception(self, exception: Exception) -> None:
        self.told.append(exception)

    def get_lifetime(self) -> float:
        return self.life

    def invalidate(self) -> None:
        self.invalidated += 1
        self.alive = False
