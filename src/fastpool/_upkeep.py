"""What the keeper does for one pool: the minimum, lifetimes, idle times, keep-alive, and reports of leaks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ._config import seconds_to_ns
from ._core import clock
from ._report import is_news, is_told, lease_info, leases_of

if TYPE_CHECKING:
    from ._keeper import Entry
    from ._pool import Pool

logger = logging.getLogger("fastpool")

_PATIENCE_S = 30.0


def tend(pool: Pool, entry: Entry) -> float | None:
    """Do what is due and say when to come back, on the pool's clock; None: only when called."""
    config = pool.config
    if config.max_lifetime is not None:
        _replace_old(pool)
    if config.idle_timeout is not None:
        pool._retire_idle("idle", config.min_size)
    if config.keepalive is not None:
        pool._keep_alive(seconds_to_ns("keepalive", config.keepalive))
    due = [_fill(pool, entry)]
    if config.leak_after is not None:
        due.append(_report_leaks(pool, config.leak_after))
    now = clock()
    for since_ns, _, expires_ns, checked_ns in pool._since():
        if config.idle_timeout is not None and len(pool) > config.min_size:
            due.append(since_ns / 1e9 + config.idle_timeout)
        if config.max_lifetime is not None:
            due.append(expires_ns / 1e9)
        if config.keepalive is not None:
            due.append(max(since_ns, checked_ns) / 1e9 + config.keepalive)
    # Leased connections come back some time: then they have deadlines, too.
    for limit in (config.idle_timeout, config.keepalive, config.max_lifetime):
        if limit is not None:
            due.append(now + limit)
    wanted = [when for when in due if when is not None]
    # Not again at once: what could not be done just now is tried a little later.
    return max(min(wanted), now + 0.001) if wanted else None


def _patience_ns(pool: Pool) -> int:
    """How long a connect of the keeper's may take: as long as a caller's, and never for ever."""
    return seconds_to_ns("timeout", pool.config.timeout, seconds_to_ns("timeout", _PATIENCE_S))


def _replace_old(pool: Pool) -> None:
    """Open the successor before the old connection is closed, where there is room for both."""
    now_ns = clock() * 1e9
    old = sum(expires_ns <= now_ns for _, _, expires_ns, _ in pool._since())
    short = max(0, min(old, pool.config.min_size - (len(pool) - old)))
    for _ in range(short):
        try:
            if not pool._open_one(_patience_ns(pool)):
                break
        except Exception as error:
            logger.warning("pool %r: no successor for an old connection: %s", pool.name, error)
            break
    pool._retire_idle("lifetime", 0)


def _fill(pool: Pool, entry: Entry) -> float | None:
    """Keep ``min_size`` connections open; after a failure come back with growing pauses."""
    first, longest = pool.config.backoff
    try:
        while len(pool) < pool.config.min_size and not pool.closed:
            if not pool._open_one(_patience_ns(pool)):
                return clock() + first  # as many as may connect at once do; look again
            entry.failures = 0
    except Exception as error:
        entry.failures += 1
        pause: float = min(longest, first * 2.0 ** min(entry.failures - 1, 30))
        logger.warning(
            "pool %r: %d of at least %d connections are open, and another one failed (%s: %s); next try in %.3g s",
            pool.name, len(pool), pool.config.min_size, type(error).__name__, error, pause,
        )  # fmt: skip
        return clock() + pause
    return None


def _report_leaks(pool: Pool, leak_after: float) -> float:
    """Report each lease that is held too long, once, with its holder's stack as it is now."""
    now = clock()
    rows = leases_of(pool)
    for row in rows:
        info = lease_info(row, now)
        if info.age_s < leak_after or not is_news(pool, row, info):
            continue
        stack = info.stack()
        logger.warning(
            "pool %r: connection %d has been out for %.1f s (leak_after is %.1f s), held by %s; it is at:\n%s",
            pool.name, info.slot, info.age_s, leak_after, info.owner, "".join(stack) or "  (its stack is gone)\n",
        )  # fmt: skip
    waiting: list[float] = [row[6] / 1e9 + leak_after for row in rows if not is_told(pool, row)]
    return min([*waiting, now + leak_after])
