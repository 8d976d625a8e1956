"""The arguments of an engine's pool: SQLAlchemy's, and what they mean as options of fastpool."""

from __future__ import annotations

from typing import Any

from ..._config import MOST_CONNECTIONS, _integer

# The options of fastpool that are taken under their own names. `max_size` is SQLAlchemy's pool_size + max_overflow.
OPTIONS = (
    "min_size", "order", "max_idle", "max_waiting", "max_lifetime", "idle_timeout", "max_uses", "check_timeout",
    "check_after", "keepalive", "max_connecting", "servers", "balance", "backoff", "leak_after", "listeners", "open",
    "name", "timing", "reclaim", "collect_garbage", "shared", "shared_max",
)  # fmt: skip


def checked_sizes(pool_size: Any, max_overflow: Any) -> tuple[int, int]:
    """SQLAlchemy's two sizes, checked; with a pool_size of 0 there is no limit."""
    size, overflow = _integer("pool_size", pool_size), _integer("max_overflow", max_overflow)
    if size < 0:
        raise ValueError(f"pool_size must be at least 0 (0: no limit), not {size}")
    return size, overflow if size else -1


def most_open(pool_size: int, max_overflow: int) -> int:
    """The option ``max_size``."""
    return MOST_CONNECTIONS if max_overflow < 0 else min(pool_size + max_overflow, MOST_CONNECTIONS)


def most_idle(pool_size: int, max_overflow: int) -> int | None:
    """The option ``max_idle``; None where all that are open may be idle."""
    return None if pool_size == 0 or max_overflow == 0 else min(pool_size, MOST_CONNECTIONS)
