"""Reading the pages of shared names without taking part in them."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from .. import _registry as registry
from .._errors import PoolError
from .._light.hints import TYPE_CHECKING
from .._telemetry.process_stats import ProcessStats
from . import folder as _folder
from . import joining
from .figures import Told, unpacked
from .refusal import refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import SharedMember

    Unpack = Callable[[int, int, bytes], Told | None]


def shared_stats(name: str) -> list[ProcessStats]:
    """The figures of this shared name's pools in all processes of this user: one entry for each pool, by pid.

    [] if there are none. TypeError, ValueError: it is no possible name. PoolError: its page, or the folder, cannot be
    used.
    """
    return [row.process for row in shared_rows(name)]


def shared_rows(name: str) -> list[Told]:
    """As ``shared_stats``, with all that each row says."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {name!r}")
    for pool in registry.everyone():
        share = pool.share
        if share is not None and share.name == name and share.member.mine:
            share.publish(pool)  # those of this process as they are now
    if not joining.SUPPORTED:
        return []
    with page_of(name) as member:
        return [] if member is None else rows_of(member)


class SharedPool(NamedTuple):
    """One shared name: its cap (None: no limit), and a row for each pool of each process."""

    name: str
    shared_max: int | None
    rows: list[Told]


def shared_pools(unpack: Unpack = unpacked) -> list[SharedPool]:
    """All shared names of this user that any living process has, in order. PoolError if the folder cannot be used.

    A page that cannot be read is left out: its own pools say what is wrong with it. ``unpack``: what parses a row, for
    who reads often and remembers.
    """
    folder = _folder.opened(make=False) if joining.SUPPORTED else None
    if folder is None:
        return []
    found = []
    with folder:
        for file in _folder.pages(folder):
            with contextlib.suppress(PoolError, ValueError):
                name = joining.name_in(folder, file)
                with page_of(name) as member:
                    rows = [] if member is None else rows_of(member, unpack)
                    if member is not None and rows:
                        found.append(SharedPool(name, member.cap, rows))
    return sorted(found)


@contextlib.contextmanager
def page_of(name: str) -> Iterator[SharedMember | None]:
    """The page of this name, mapped; None: there is none."""
    file = _folder.file_name(name)
    folder = _folder.opened(make=False)
    if folder is None:
        yield None
        return
    try:
        with folder:
            member = folder.page(file)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise refused(file, error) from error
    joining.look_at(member, name)
    joining.check_used(member, name)
    yield member


def rows_of(member: SharedMember, unpack: Unpack = unpacked) -> list[Told]:
    """The figures of all pools whose processes are alive."""
    found = []
    for number, *_ in member.holders():
        row = member.read(number)
        figures = None if row is None or not member.locked(number + 1) else unpack(number, *row)
        if figures is not None:
            found.append(figures)
    return sorted(found, key=lambda row: (row.process.pid, row.process.since))
