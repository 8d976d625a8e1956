"""Reading the pages of shared names without taking part in them."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from .. import _registry as registry
from .._core import SharedSeat
from .._errors import PoolError
from .._light.hints import TYPE_CHECKING
from .._telemetry.process_stats import ProcessStats
from . import folder as _folder
from . import joining
from .figures import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._telemetry.stats import Stats


def shared_stats(name: str) -> list[ProcessStats]:
    """What the pools of this shared name have, in all processes of this user: one entry for each pool, by pid.

    [] if there are none. TypeError, ValueError: it is no possible name. PoolError: its page, or the folder, cannot be
    used.
    """
    return [one for one, _ in shared_rows(name)]


def shared_rows(name: str) -> list[tuple[ProcessStats, Stats]]:
    """As ``shared_stats``, each with the pool's own stats."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {name!r}")
    for pool in registry.everyone():
        share = pool.share
        if share is not None and share.name == name:
            share.publish(pool)  # those of this process as they are now
    if not joining.SUPPORTED:
        return []
    with _page(name) as seat:
        return [] if seat is None else rows_of(seat)


class SharedPool(NamedTuple):
    """One shared name: its cap (None: no limit), and a row for each pool of each process."""

    name: str
    shared_max: int | None
    rows: list[tuple[ProcessStats, Stats]]


def shared_pools() -> list[SharedPool]:
    """All shared names of this user that any living process has, in order. PoolError if the folder cannot be used.

    A page that cannot be read is left out: its own pools say what is wrong with it.
    """
    folder = _folder.opened(make=False) if joining.SUPPORTED else None
    if folder is None:
        return []
    try:
        files = _folder.listing(folder)
    finally:
        os.close(folder)
    found = []
    for file in files:
        with contextlib.suppress(PoolError, ValueError):
            name = joining.name_in(file)
            with _page(name) as seat:
                rows = [] if seat is None else rows_of(seat)
                if seat is not None and rows:
                    found.append(SharedPool(name, seat.cap, rows))
    return sorted(found)


@contextlib.contextmanager
def _page(name: str) -> Iterator[SharedSeat | None]:
    """The page of this name, mapped; None: there is none."""
    file = _folder.file_name(name)
    folder = _folder.opened(make=False)
    if folder is None:
        yield None
        return
    try:
        seat = SharedSeat(folder, os.fsencode(file))
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise _folder.refused(file, error) from error
    finally:
        os.close(folder)
    joining.look_at(seat, name)
    yield seat


def rows_of(seat: SharedSeat) -> list[tuple[ProcessStats, Stats]]:
    """The figures of all pools whose processes are alive."""
    found = []
    for number, *_ in seat.holders():
        row = seat.read(number)
        figures = None if row is None or not seat.locked(number + 1) else unpacked(*row)
        if figures is not None:
            found.append(figures)
    return sorted(found, key=lambda figures: (figures[0].pid, figures[0].since))
