"""Reports made from the core's numbers: snapshots, suspected leaks, and the error of an exhausted pool."""

from __future__ import annotations

import gc
from time import monotonic

from .._core import REASONS, clock, clock_is_stopped, end_lease, histogram_edges
from .._core.greenlets import suspended_for_ever
from .._errors import NoConnectionsAvailable
from .._light.hints import TYPE_CHECKING, Any
from .._light.log import logger
from .holder import info_of, thread_name
from .stats import Histogram, LeaseInfo, Stats, describe_holders, duration_text, explain

if TYPE_CHECKING:
    from .._core import Core

    _Sight = tuple[float, Stats, tuple[LeaseInfo, ...], list[str]]  # when it was taken, and what it shows
_EDGES = tuple(histogram_edges())


def stats_of(pool: Core) -> Stats:
    """A snapshot, taken without a lock."""
    idle, leased, connecting, waiting, checkouts, checkins, totals, closed = pool._counts()
    waits, timeouts, rejected, cancelled, connects, connect_errors, leaks = totals
    histograms = {which: Histogram.from_core(*pool._histogram(which), _EDGES) for which in ("wait", "connect", "hold")}
    return Stats(
        name=pool.name,
        max_size=pool.config.max_size,
        min_size=pool.config.min_size,
        size=idle + leased,
        idle=idle,
        leased=leased,
        connecting=connecting,
        waiting=waiting,
        checkouts=checkouts,
        checkins=checkins,
        waits=waits,
        timeouts=timeouts,
        rejected=rejected,
        cancelled=cancelled,
        connects=connects,
        connect_errors=connect_errors,
        leaks=leaks,
        closed=dict(zip(REASONS, closed, strict=True)),
        **histograms,
    )


def holders_of(pool: Core) -> list[LeaseInfo]:
    """The holders of the present leases."""
    now = clock()
    return [info_of(row, now) for row in pool._leases()]


def report_lost(pool: Core, lost: list[tuple[int, int, int | None, float, Any, Any]]) -> None:
    """Report connections that nothing could return any more.

    Each: slot, epoch, ident of the thread that took it (None: it has ended), age in seconds, server, connection.
    """
    for row in lost:
        _report_drop(pool, row, "was dropped without checkin()")


def report_dropped(pool: Core) -> None:
    """Report the leases that their finalizers have ended since the last report.

    Called while a slot is being freed, so an exception of a log handler goes no further.
    """
    while pool.lost:
        try:
            _report_drop(pool, pool.lost.pop(), "lost its lease, which was dropped inside its block")
        except Exception:
            pass  # an IndexError: another thread has taken the last one


def _report_drop(pool: Core, row: tuple[int, int, int | None, float, Any, Any], what: str) -> None:
    slot, epoch, ident, age, server, connection = row
    if _is_first(pool, (slot, epoch)):
        pool._tell("leak_suspected", server=server, connection=connection, duration=age)
    logger.warning(
        "pool %r: connection %d, checked out %s ago by thread %r, %s: it is replaced",
        pool.name, slot, duration_text(age), thread_name(ident), what,
    )  # fmt: skip


def leases_of(pool: Core) -> list[tuple[Any, ...]]:
    """The core's rows of the present leases; forgets which leases that are over were reported."""
    rows = pool._leases()
    pool.leaks_told &= {_key(row) for row in rows}
    return rows


def is_told(pool: Core, row: tuple[Any, ...]) -> bool:
    """Whether this lease was reported as a suspected leak."""
    return _key(row) in pool.leaks_told


def _key(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[0], row[7]  # by slot and epoch: a later lease is another one


def is_news(pool: Core, row: tuple[Any, ...], info: LeaseInfo) -> bool:
    """Count and report a suspected leak, once for each lease; False: this one was reported before."""
    if not _is_first(pool, _key(row)):
        return False
    pool._tell("leak_suspected", server=info.server, connection=row[8], duration=info.age_s)
    return True


def _is_first(pool: Core, lease: tuple[int, int]) -> bool:
    """Count a leak, by slot and epoch; False: it was counted before."""
    if lease in pool.leaks_told:
        return False
    pool.leaks_told.add(lease)
    pool._count_leak()
    return True


def look_for_ended_owners(pool: Core) -> None:
    """Report the leases whose owner has ended, and end those that nothing else can end. Called when none is free.

    A connection that the owner left behind may be referred to elsewhere, and be returned yet. If all that refers to it
    is a reference cycle, only the garbage collector can end the lease: it is run with ``collect_garbage=True``. Nothing
    can leave a block in which a greenlet of a thread that has ended is suspended: with ``reclaim=True`` its lease is
    ended here, and the connection replaced.
    """
    config, reported = pool.config, False
    for row in leases_of(pool):
        info = info_of(row, clock())
        if not info.ended:
            continue
        for_ever = row[9] and row[2] is None and suspended_for_ever(row[3] and row[3]())
        end = for_ever and config.reclaim
        if is_news(pool, row, info):
            reported = True
            logger.warning(
                "pool %r: connection %d has been out for %s, and its owner has ended without giving it back: %s%s",
                pool.name, info.slot, duration_text(info.age_s), info.owner,
                f", suspended for ever in its block{'; it is replaced' if end else ''}" if for_ever else "",
            )  # fmt: skip
        if end:
            end_lease(pool, *_key(row))
    if reported and config.collect_garbage:
        gc.collect()


_CROWD = 16  # from this many waiters on, errors that are raised at the same moment share one snapshot
_MOMENT = 0.01  # seconds


def _sight(pool: Core, phase: str, waited: float) -> _Sight:
    """The snapshot in the error of a checkout that got nothing.

    When the deadlines of thousands pass together, each would look at the whole pool, with the GIL, while all others
    wait for it. So in a crowd a snapshot serves for a moment: for every caller that was waiting when it was taken.
    """
    last: _Sight | None = pool.last_sight
    now = monotonic()
    if last is not None and phase == "wait" and 0 <= now - last[0] < min(_MOMENT, waited) and not clock_is_stopped():
        return last
    stats, holders = stats_of(pool), tuple(holders_of(pool))
    sight = now, stats, holders, describe_holders(holders)
    pool.last_sight = sight if stats.waiting >= _CROWD else None
    return sight


def exhausted(
    pool: Core, phase: str, waited: float, steps: list[Any] | None, message: str | None = None
) -> NoConnectionsAvailable:
    """The error of a checkout that got nothing in its time, or of a deadlock, whose ``steps`` the core has found.

    ``message``: the first line; None: the driver's.
    """
    _, stats, holders, held = _sight(pool, phase, waited if steps is None else 0.0)
    driver = pool.driver
    error_class: type[NoConnectionsAvailable] = driver.exhausted_error if steps is None else driver.deadlock_error
    headline, advice = message or driver.exhausted_message, None
    if steps is not None:
        from .deadlock import describe_deadlock  # here, because each import makes `import fastpool` slower

        headline, advice = describe_deadlock(pool, steps, headline)
    last_error = pool.connector.last_error
    text = explain(stats, holders, waited, phase, last_error, headline, advice, held, driver.size_option)
    if pool.share is not None:
        text = f"{text}\n{pool.share.explain()}".rstrip()
    error = error_class(text)
    error.phase, error.waited, error.stats, error.holders = phase, waited, stats, holders
    return error
