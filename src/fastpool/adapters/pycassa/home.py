"""Protocols for the driver and the pool as a connection calls them, which avoid a circle of imports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .transport import Wire


class Place(Protocol):
    """The pool, as a connection sees it."""

    def put(self, conn: Any) -> None: ...
    def reconnect(self, conn: Any) -> None: ...
    def forsake(self, conn: Any) -> None: ...


class Home(Protocol):
    """The driver, as a connection sees it."""

    keyspace: str
    credentials: Mapping[str, str] | None
    recycle: int
    max_retries: int

    @property
    def pool(self) -> Place: ...
    def tell(self, name: str, level: str, **fields: Any) -> None: ...
    def text_of(self, server: tuple[str, int]) -> str: ...
    def wire(self, server: tuple[str, int], text: str) -> Wire: ...


class Served(Place, Protocol):
    """The pool, as its driver sees it."""

    def replace_recycled(self, conn: Any) -> None: ...
    def _retire_idle(self, reason: str, keep: int) -> int: ...
