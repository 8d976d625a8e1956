"""Checks of the arguments of test doubles."""

from __future__ import annotations

import math


def seconds(name: str, value: float) -> float:
    """Return ``value`` if it is a finite number of seconds, 0 or more. TypeError or ValueError if not."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"'{name}' must be a number of seconds, not {value!r}")
    if not value >= 0 or math.isinf(value):
        raise ValueError(f"'{name}' must be at least 0 s and finite, not {value!r}")
    return value


def whole(name: str, value: int, least: int, most: float = math.inf) -> int:
    """Return ``value`` if it is an integer between ``least`` and ``most``. TypeError or ValueError if not."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"'{name}' must be an integer, not {value!r}")
    if not least <= value <= most:
        bounds = f"at least {least}" if math.isinf(most) else f"{least} … {most}"
        raise ValueError(f"'{name}' must be {bounds}, not {value}")
    return value
