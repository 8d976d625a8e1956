"""The connection of each thread, greenlet or task, for ``use_threadlocal``."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from ..._core import running_task
from .wrapper import ConnectionWrapper


class Holdings:
    """The connections that the owners in one thread have checked out by ``get()``: one for each."""

    __slots__ = ("_held", "_returned")

    def __init__(self) -> None:
        self._held: dict[int, tuple[ConnectionWrapper, int]] = {}  # the connection, and its lease
        self._returned: Any = None  # a weak reference to the connection returned last

    def of(self, owner: int) -> ConnectionWrapper | None:
        """The connection of an owner, as ``owner_here()`` numbers them."""
        found = self._held.get(owner)
        return found[0] if found is not None and found[0].lease == found[1] else None

    def take(self, owner: int, connection: ConnectionWrapper) -> None:
        """Record the connection of an owner."""
        self._held[owner] = connection, connection.lease

    def let_go(self, connection: ConnectionWrapper) -> bool:
        """Record that the current owner returns ``connection``.

        False: this thread returned it before; if it is checked out now, another caller has it.
        """
        owner = owner_here()
        found = self._held.get(owner)
        if found is not None and found[0] is connection and connection.lease == found[1]:
            del self._held[owner]
            self._returned = weakref.ref(connection)
            return True
        return self._returned is None or self._returned() is not connection


class Owners(threading.local):
    """``here``: the holdings of the current thread."""

    def __init__(self) -> None:
        self.here = Holdings()


def owner_here() -> int:
    """A number for the current task or greenlet; 0: it is the thread itself."""
    task = running_task()
    if task is not None:
        return id(task)
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return 0
    current = greenlet.getcurrent()
    return 0 if current.parent is None else id(current)
