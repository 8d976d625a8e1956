"""The text of a deadlock: the circle of waits, over one pool or several."""

from __future__ import annotations

from .._core import clock
from .._light.hints import TYPE_CHECKING
from .holder import info_of

if TYPE_CHECKING:
    from .._core import Core

    # One lease that its owner cannot end: its pool and slot, the pool its owner waits for, whether that is the caller.
    Step = tuple[Core, int, Core, bool]
    # By id of a pool: the lease whose owner waits for it, and the pool that this lease keeps from giving a connection.
    _Found = dict[int, tuple[Step, Core] | None]


def describe_deadlock(pool: Core, steps: list[Step], headline: str | None) -> tuple[str, str]:
    """The first lines of the error, and the advice. ``pool``: the one that the caller asked."""
    headline = headline or f"pool {pool.name!r}"
    if all(held is pool for held, _, _, _ in steps):
        return (
            f"{headline}: every lease is held by owners that wait for this very pool",
            "Pass the connection on instead of taking a second one, or give the pool nested=True.",
        )
    lines = [f"{headline}: this wait closes a circle that nothing can end:"]
    for step in _circle(pool, steps):
        lines.append(f"    {_owner(step)} holds a lease of pool {step[0].name!r} and waits for pool {step[2].name!r}")
    advice = (
        "Check out of these pools in the same order everywhere, or return one connection before asking for another."
    )
    return "\n".join(lines), advice


def _circle(pool: Core, steps: list[Step]) -> list[Step]:
    """The shortest way from the caller's own lease through the waits of others back to the caller.

    A caller that holds none of the leases is not part of a circle: then it is the one that waits for ``pool`` lead to.
    """
    found_by: _Found = {id(pool): None}
    line = [pool]
    for held in line:  # it grows: each pool that is waited for, once
        for step in (step for step in steps if _keeps(step, held)):
            if step[3]:
                return [step, *_way_to(held, found_by)]
            if id(step[2]) not in found_by:
                found_by[id(step[2])] = step, held
                line.append(step[2])
    way = [_first_of(pool, steps)]
    while not any(_keeps(step, way[-1][2]) for step in way):
        way.append(_first_of(way[-1][2], steps))
    return way[[_keeps(step, way[-1][2]) for step in way].index(True) :]


def _first_of(pool: Core, steps: list[Step]) -> Step:
    return next(step for step in steps if _keeps(step, pool))


def _keeps(step: Step, pool: Core) -> bool:
    """Whether this lease is one that keeps `pool` from giving a connection: its own, or one under the same cap."""
    return step[0] is pool or (step[0].share is not None and step[0].share.has_page_of(pool.share))


def _way_to(pool: Core, found_by: _Found) -> list[Step]:
    """The leases by whose owners ``pool`` was found, in the order of the waits."""
    way: list[Step] = []
    found = found_by[id(pool)]
    while found is not None:
        way.insert(0, found[0])
        found = found_by[id(found[1])]
    return way


def _owner(step: Step) -> str:
    pool, slot, _, _ = step
    for row in pool._leases():
        if row[0] == slot:
            return info_of(row, clock()).owner
    return "an owner that has returned it meanwhile"
