"""What the drop-ins make of the arguments of the pools that they replace."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from ..._config import Config

# Whatever the socket timeout, this bounds each wait of what the pool does by itself: closing forgotten scanners at a
# checkin, and keeping idle connections alive.
PATIENCE_S = 5.0

# What is the pool's among the keyword arguments; ``timeout`` is not: there it is the socket's.
_POOL_OPTIONS = frozenset(option.name for option in fields(Config)) - {"max_size", "timeout"}


def checked_size(size: Any) -> int:
    """The pool's size; TypeError or ValueError with the words of happybase and aiohappybase."""
    if not isinstance(size, int):
        raise TypeError("Pool 'size' arg must be an integer")
    if not size > 0:
        raise ValueError("Pool 'size' arg must be greater than zero")
    return int(size)  # True is 1 there, too


def options_among(kwargs: dict[str, Any], size: int) -> dict[str, Any]:
    """Take the pool's own options out of ``kwargs``; as many connections as it has may be opened at once."""
    options = {name: kwargs.pop(name) for name in _POOL_OPTIONS & kwargs.keys()}
    return {"max_connecting": size, **options}
