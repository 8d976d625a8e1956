"""Who has which connection, for ``use_threadlocal``: a thread, and within it a greenlet or a task."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import Any

from ..._core import running_task
from .wrapper import ConnectionWrapper


class Owners(threading.local):
    """What the owners in the current thread have checked out by ``get()``: one connection each."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[ConnectionWrapper, int]] = {}  # the connection, and its lease
        self._returned: Any = None  # a weak reference to what was returned last

    def mine(self) -> ConnectionWrapper | None:
        """The current owner's connection."""
        mine = self._held.get(_owner())
        return mine[0] if mine is not None and mine[0].lease == mine[1] else None

    def take(self, connection: ConnectionWrapper) -> None:
        """Note what the current owner has got."""
        self._held[_owner()] = connection, connection.lease

    def let_go(self, connection: ConnectionWrapper) -> bool:
        """Note that the current owner returns ``connection``.

        False: this thread has returned it before, and if it is out now, somebody else has it.
        """
        owner = _owner()
        mine = self._held.get(owner)
        if mine is not None and mine[0] is connection and connection.lease == mine[1]:
            del self._held[owner]
            self._returned = weakref.ref(connection)
            return True
        return self._returned is None or self._returned() is not connection


def _owner() -> int:
    """A number for the current task or greenlet; 0: it is the thread itself."""
    task = running_task()
    if task is not None:
        return id(task)
    greenlet = sys.modules.get("greenlet")
    current = None if greenlet is None else greenlet.getcurrent()
    return 0 if current is None or current.parent is None else id(current)
