"""The keeper's work for one pool: the minimum, lifetimes, idle times, keep-alive, and reports of leaks.

`tend` looks at a pool and orders what is due. The four kinds of JOBS may block, because they call the driver, listeners
or log handlers. For one pool, each kind is done by one helper at a time, and none waits for another kind.
"""

from __future__ import annotations

from .._core import clock, seconds_to_ns
from .._light.hints import TYPE_CHECKING
from .._light.log import logger
from .._telemetry.holder import info_of
from .._telemetry.report import is_news, is_told, leases_of
from .kept_pool import FLOOR_S, Failures, KeptPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._config import Config
    from .._core import Core

_PATIENCE_NS = seconds_to_ns("timeout", 30.0)  # the time limit of the keeper's connects, whatever callers have
_BREATH_S = 0.001  # the pause before another attempt at what could not be done now


def tend(pool: Core, kept: KeptPool) -> float | None:
    """Order what is due, which never blocks, and say when to look again, on the pool's clock; None: when called."""
    config: Config = pool.config
    now = clock()
    size, old, old_may_wait = len(pool), 0, False
    due: list[float] = []
    wanted: dict[str, float] = {}

    def want(kind: str, when: float) -> None:
        wanted[kind] = min(when, wanted.get(kind, when))

    for since_ns, _, expires_ns, checked_ns in pool._idle_rows():
        if config.idle_timeout is not None and size > config.min_size:
            want("close", since_ns / 1e9 + config.idle_timeout)
        if config.keepalive is not None:
            want("check", max(since_ns, checked_ns) / 1e9 + config.keepalive)
        if config.max_lifetime is not None:
            expires = expires_ns / 1e9
            if expires > now:
                due.append(expires)
            else:
                old += 1
                old_may_wait |= expires > kept.succeeded
    # The successor is opened before the old connection is closed, if that is possible.
    old_may_wait &= config.min_size > size - old and now >= kept.until.get("connect", 0.0)
    kept.old_may_go = not old_may_wait
    if old and not old_may_wait:
        want("close", now)
    if size < config.min_size or old_may_wait:
        want("connect", now)
    if config.leak_after is not None:
        for row in pool._leases():
            if not is_told(pool, row):
                want("report", row[6] / 1e9 + config.leak_after)
    for kind, when in wanted.items():
        when = max(when, kept.until.get(kind, 0.0))
        if when <= now:
            kept.order(kind)
        else:
            due.append(when)
    # Leased connections come back, and others are leased: then the deadlines are others.
    limits = (config.idle_timeout, config.keepalive, config.max_lifetime, config.leak_after)
    due += [now + limit for limit in limits if limit is not None]
    return max(min(due), now + _BREATH_S) if due else None


def _connect(pool: Core, kept: KeptPool) -> None:
    """Open what is missing from ``min_size``, and the successors of connections that are too old, one by one."""
    config: Config = pool.config
    now = clock()
    while not (pool.closed or kept.over):
        under_way = pool._connecting  # read before the open ones are counted: one that ends in between is in both
        old = _old(pool, now)
        missing = config.min_size - (len(pool) - old)
        if missing <= 0:
            break
        try:
            # An old one's successor must be idle before it is closed, and what callers open now is for them.
            opened = (old or missing > under_way) and pool._open_one(_PATIENCE_NS)
        except Exception as error:
            if not pool.closed:  # else the connect failed because the pool was closed meanwhile
                _failed(pool, kept, error)
            break
        if not opened:
            if len(pool) < config.min_size:  # enough connects are under way, or max_connecting: look again later
                kept.until["connect"] = clock() + max(FLOOR_S, config.backoff[0])
            break
        kept.failures, kept.alarm = Failures(), None
    kept.succeeded = now


def _old(pool: Core, now: float) -> int:
    """How many idle connections are too old."""
    return sum(expires_ns / 1e9 <= now for _, _, expires_ns, _ in pool._idle_rows())


def _failed(pool: Core, kept: KeptPool, error: Exception) -> None:
    """Note a connect that failed, and report it if it is news."""
    count = kept.failures.add(error, pool.config.backoff)
    kept.until["connect"] = kept.failures.until
    if not count:
        return
    kept.alarm = f"({type(error).__name__}: {error})" + ("" if count == 1 else f", {count} times by now")
    if len(pool) < pool.config.min_size:
        _raise_alarm(pool, kept)
    else:
        logger.warning("pool %r: no successor for an old connection: %s", pool.name, error)


def _raise_alarm(pool: Core, kept: KeptPool) -> None:
    alarm, kept.alarm = kept.alarm, None
    if alarm is not None:
        logger.warning(
            "pool %r: %d of at least %d connections are open, and another one failed %s; next try in %.3g s",
            pool.name, len(pool), pool.config.min_size, alarm, max(kept.failures.until - clock(), 0.0),
        )  # fmt: skip


def _close(pool: Core, kept: KeptPool) -> None:
    """Close connections that were idle for too long, and old ones that have a successor, or can have none."""
    closed = 0
    if pool.config.idle_timeout is not None:
        closed += pool._retire_idle("idle", pool.config.min_size)
    if pool.config.max_lifetime is not None and kept.old_may_go:
        closed += pool._retire_idle("lifetime", 0)
        if len(pool) < pool.config.min_size:
            _raise_alarm(pool, kept)
    if not closed:
        kept.until["close"] = clock() + _BREATH_S


def _check(pool: Core, kept: KeptPool) -> None:
    """Check the idle connections that were neither used nor checked for `keepalive` seconds."""
    if pool.config.keepalive is not None:
        pool._keep_alive(seconds_to_ns("keepalive", pool.config.keepalive))
    kept.until["check"] = clock() + _BREATH_S


def _report(pool: Core, kept: KeptPool) -> None:
    """Report each lease that is held too long, once, with its holder's stack as it is now."""
    leak_after: float | None = pool.config.leak_after
    now = clock()
    for row in leases_of(pool):
        info = info_of(row, now)
        if leak_after is None or info.age_s < leak_after or not is_news(pool, row, info):
            continue
        stack = info.stack()
        logger.warning(
            "pool %r: connection %d has been out for %.1f s (leak_after is %.1f s), held by %s; it is at:\n%s",
            pool.name, info.slot, info.age_s, leak_after, info.owner, "".join(stack) or "  (its stack is gone)\n",
        )  # fmt: skip
    kept.until["report"] = now + _BREATH_S


def _give_up(pool: Core, kept: KeptPool) -> None:
    """Close idle connections, one for each caller that waits for a permit in another process."""
    pool._give_up_idle()


JOBS: dict[str, Callable[[Core, KeptPool], None]] = {
    "connect": _connect,
    "close": _close,
    "check": _check,
    "report": _report,
    "give_up": _give_up,
}
