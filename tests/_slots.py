"""What Stats does not tell apart: a connection that is in somebody's hands counts as idle there, be it lost or not."""

from __future__ import annotations

from typing import Any

VACANT, IDLE, LEASED, GONE = 0, 2, 3, 5


def in_hand(pool: Any) -> int:
    """How many slots are being handed over, checked, connected or emptied; at rest there is none, or it is lost."""
    return sum(state not in (VACANT, IDLE, GONE) and not owner for state, _, owner, *_ in pool._slots())
