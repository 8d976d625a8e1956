"""What the keeper does for one pool: the minimum, lifetimes, idle times, keep-alive, and reports of leaks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ._config import seconds_to_ns
from ._core import clock
from ._errors import AllServersUnavailable
from ._report import is_news, is_told, lease_info, leases_of

if TYPE_CHECKING:
    from ._keeper import Entry
    from ._pool import Pool

logger = logging.getLogger("fastpool")

_PATIENCE_NS = seconds_to_ns("timeout", 30.0)  # what a connect of the keeper's is given, whatever callers have
_FLOOR_S = 0.1  # the shortest time from a connect that failed to the next, whatever `backoff` says
_KINDS = 8  # failures of one pool that are told apart until it recovers; all beyond count as one
_REMINDER_S = 3600.0


class Failures:
    """Connects of the keeper's that failed for one pool, since the last that did not."""

    __slots__ = ("_count", "_seen", "until")

    def __init__(self) -> None:
        self.until = 0.0  # no connect before, on the pool's clock
        self._count = 0
        self._seen: dict[tuple[type, str], tuple[int, float]] = {}  # by type and text: how often, and when logged

    def add(self, error: Exception, backoff: tuple[float, float]) -> int:
        """Note one more, and for how long to leave it at that.

        Return how often this very failure has been seen if that is worth a line in the log (the first time, the 10th,
        the 100th …, and each hour), else 0.
        """
        first, longest = backoff
        now = clock()
        self.until = now + max(_FLOOR_S, min(longest, first * 2.0 ** min(self._count, 30)))
        self._count += 1
        # AllServersUnavailable also says for how many seconds each server is left alone: no two texts are the same.
        cause = error.__cause__ if isinstance(error, AllServersUnavailable) and error.__cause__ else error
        kind: tuple[type, str] = (type(cause), str(cause))
        if kind not in self._seen and len(self._seen) >= _KINDS:
            kind = (Exception, "all the others")
        count, logged = self._seen.get(kind, (0, now))
        count += 1
        news = str(count).rstrip("0") == "1" or now - logged >= _REMINDER_S
        self._seen[kind] = (count, now if news else logged)
        return count if news else 0


def tend(pool: Pool, entry: Entry) -> float | None:
    """Do what is due and say when to come back, on the pool's clock; None: only when called."""
    config = pool.config
    failure = None if config.max_lifetime is None else _replace_old(pool, entry)
    if config.idle_timeout is not None:
        pool._retire_idle("idle", config.min_size)
    if config.keepalive is not None:
        pool._keep_alive(seconds_to_ns("keepalive", config.keepalive))
    due = [_fill(pool, entry, failure)]
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


def _replace_old(pool: Pool, entry: Entry) -> tuple[Exception, int] | None:
    """Open the successor before the old connection is closed, where there is room for both."""
    now_ns = clock() * 1e9
    old = sum(expires_ns <= now_ns for _, _, expires_ns, _ in pool._since())
    failure = _connect(pool, entry, min(old, pool.config.min_size - (len(pool) - old)))
    if failure is not None and failure[1]:
        logger.warning("pool %r: no successor for an old connection: %s", pool.name, failure[0])
    pool._retire_idle("lifetime", 0)
    return failure


def _fill(pool: Pool, entry: Entry, failure: tuple[Exception, int] | None) -> float | None:
    """Keep ``min_size`` connections open; after a failure (one of just now counts) come back with growing pauses."""
    missing = pool.config.min_size - len(pool)
    if missing <= 0:
        return None
    failure = failure or _connect(pool, entry, missing)
    now, until = clock(), entry.failures.until
    if failure is not None and failure[1]:
        error, count = failure
        logger.warning(
            "pool %r: %d of at least %d connections are open, and another one failed (%s: %s)%s; next try in %.3g s",
            pool.name, len(pool), pool.config.min_size, type(error).__name__, error,
            "" if count == 1 else f", {count} times by now", until - now,
        )  # fmt: skip
    if pool.closed or len(pool) >= pool.config.min_size:
        return None
    # Without a failure: as many as may connect at once do. Look again.
    return until if until > now else now + max(_FLOOR_S, pool.config.backoff[0])


def _connect(pool: Pool, entry: Entry, count: int) -> tuple[Exception, int] | None:
    """Open so many more; give the error of one that failed, and its count if that is to be logged."""
    for _ in range(count):
        if pool.closed or clock() < entry.failures.until:
            return None
        try:
            if not pool._open_one(_PATIENCE_NS):
                return None
        except Exception as error:
            # Whoever closed the pool meanwhile knows why a connect of its fails.
            return None if pool.closed else (error, entry.failures.add(error, pool.config.backoff))
        entry.failures = Failures()
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
