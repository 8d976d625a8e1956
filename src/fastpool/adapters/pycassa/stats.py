"""StatsLogger: a listener that counts."""

from __future__ import annotations

import copy
import logging
from typing import Any

from ..._core import Section
from .logger import level_of

_ZERO: dict[str, Any] = {
    "created": {"success": 0, "failure": 0},
    "checked_out": 0,
    "checked_in": 0,
    "opened": {"current": 0, "max": 0},
    "disposed": {"success": 0, "failure": 0},
    "recycled": 0,
    "failed": 0,
    "list": 0,
    "at_max": 0,
}


class StatsLogger:
    """Counts a pool's events: ``pool.add_listener(stats)``, then read ``stats.stats``.

    ``created`` and ``disposed`` are counted by ``success`` and ``failure`` (an event above the level info). ``opened``
    has the number checked out now (``current``), and the highest so far (``max``).
    """

    def __init__(self) -> None:
        self._section = Section()
        self.reset()

    def reset(self) -> None:
        """Set all counts to 0."""
        self._stats = copy.deepcopy(_ZERO)

    @property
    def stats(self) -> dict[str, Any]:
        """The counts, by name."""
        return self._stats

    def _count(self, name: str, dic: dict[str, Any] | None = None) -> None:
        self._section.run(self._add, name, dic)

    def _count_opened(self, change: int) -> None:
        self._section.run(self._change_opened, change)

    def _add(self, name: str, dic: dict[str, Any] | None) -> None:
        if dic is None:
            self._stats[name] += 1
        else:
            self._stats[name]["success" if level_of(dic) <= logging.INFO else "failure"] += 1

    def _change_opened(self, change: int) -> None:
        opened = self._stats["opened"]
        opened["current"] += change
        opened["max"] = max(opened["max"], opened["current"])

    def connection_created(self, dic: dict[str, Any]) -> None:
        """Count a connection that was opened."""
        self._count("created", dic)

    def connection_checked_out(self, dic: dict[str, Any]) -> None:
        """Count a checkout."""
        self._count("checked_out")
        self._count_opened(1)

    def connection_checked_in(self, dic: dict[str, Any]) -> None:
        """Count a checkin."""
        self._count("checked_in")
        self._count_opened(-1)

    def connection_disposed(self, dic: dict[str, Any]) -> None:
        """Count a connection that the pool closed."""
        self._count("disposed", dic)

    def connection_recycled(self, dic: dict[str, Any]) -> None:
        """Count a connection that was replaced after its operations."""
        self._count("recycled")

    def connection_failed(self, dic: dict[str, Any]) -> None:
        """Count a failure."""
        self._count("failed")

    def server_list_obtained(self, dic: dict[str, Any]) -> None:
        """Count a list of servers."""
        self._count("list")

    obtained_server_list = server_list_obtained

    def pool_disposed(self, dic: dict[str, Any]) -> None:
        """Not counted."""

    def pool_at_max(self, dic: dict[str, Any]) -> None:
        """Count a caller that got no connection."""
        self._count("at_max")
