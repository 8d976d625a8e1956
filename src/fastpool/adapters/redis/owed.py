"""How many replies the server owes a connection, noted in the slot while there are any.

A command that was cancelled between sending and reading, a pipeline that was left half way, a timeout after which the
connection was kept: the reply comes later, and whoever has the connection then takes it for the answer to a question
of their own. So a connection to which a reply is owed is out of step, and the pool replaces it when it comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._core import Entry


class Owed:
    """The count of one connection, which its mixins for threads and for tasks keep."""

    _entry: Entry | None = None  # its slot; None: it is in no pool
    _owed = 0
    _sending = 0  # how many of them are being sent now
    _packed = 0  # how many commands the last pack_commands packed; 0: they have been sent
    _pushes = False  # the server may send by itself: maintenance notifications, invalidations
    _refused = False
    _should_reconnect = False  # redis-py before 6 does not know this

    def pack_commands(self, commands: Iterable[Any]) -> Any:
        """Pack commands, and note how many."""
        commands = list(commands)
        self._packed = len(commands)
        return super().pack_commands(commands)  # type: ignore[misc]

    def _begin_send(self) -> int:
        """Commands are about to be sent; returns what :meth:`_end_send` needs."""
        n, self._packed = self._packed or 1, 0
        outer = self._sending  # sending may connect first, or check the health, which sends
        self._sending = outer + n
        self._owed += n
        self._taint()
        return outer

    def _taint(self) -> None:
        """Note in the slot that the connection is out of step."""
        if self._entry is not None:
            self._entry.taint(True)

    def _end_send(self, outer: int, connected: bool) -> None:
        self._sending = outer
        if not connected:
            self._owed = outer

    def _got_reply(self) -> None:
        if self._owed:
            self._owed -= 1
            if not self._owed and self._entry is not None:
                self._entry.renewed()

    def _got_error(self) -> None:
        self._refused = True
        self._got_reply()
