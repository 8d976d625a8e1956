"""Batches that keep what they were given: the part that threads and tasks share."""

from __future__ import annotations

from typing import Any


class Queued:
    """Mixed into what a library keeps its mutations in, which are in ``_mutations`` by rows.

    With the codec it keeps what it was given, by rows, in ``_queued``, and makes the library's mutations of it only if
    somebody asks for them, be it the library itself.
    """

    _queued: dict[Any, Any] | None = None

    def _convert(self, made: Any, queued: Any) -> None:
        """Add what was queued for a row to the row's mutations as the library has them."""
        raise NotImplementedError

    @property
    def _mutations(self) -> dict[Any, Any]:
        """The mutations to be sent, as the library has them; from here on they are kept in that form."""
        queued, self._queued = self._queued, None
        for row, parts in (queued or {}).items():
            self._convert(self._made[row], parts)
        return self._made

    @_mutations.setter
    def _mutations(self, made: dict[Any, Any]) -> None:
        self._made = made
        self._queued = None
