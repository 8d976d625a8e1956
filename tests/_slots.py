"""Slots that `Stats` counts as idle although an operation has them, or although they are lost."""

from __future__ import annotations

from typing import Any

VACANT, IDLE, LEASED, GONE = 0, 2, 3, 5


def in_hand(pool: Any) -> int:
    """The number of slots being handed over, checked, connected or emptied; at rest any such slot is lost."""
    return sum(state not in (VACANT, IDLE, GONE) and not owner for state, _, owner, *_ in pool._slots())
