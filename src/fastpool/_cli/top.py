"""The command `fastpool top`: every shared pool of this user on this machine, read from its page."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .._shared.asking import ask
from .._shared.figures import Told, unpacked
from .._shared.reading import SharedPool, shared_pools
from .compare.tables import duration

_MOST_SERVERS = 4  # in a row of the table


class Column(NamedTuple):
    """A column: its title, the text in it, and what rows are sorted by."""

    title: str
    text: Callable[[Told], str]
    key: Callable[[Told], Any]
    descends: bool = True  # the largest first


def _percentile(row: Told, percent: float) -> float:
    return row.stats.wait.percentile(percent) if row.stats.wait.count else 0.0


def _wait(percent: float) -> Column:
    def text(row: Told) -> str:
        return duration(_percentile(row, percent)) if row.stats.wait.count else ""

    return Column(f"wait p{percent:g}", text, lambda row: _percentile(row, percent))


def _count(field: str, title: str | None = None) -> Column:
    return Column(title or field, lambda row: str(getattr(row.process, field)), lambda row: getattr(row.process, field))


def _age(since: float) -> float:
    return max(time.time() - since, 0.0)


def in_words(age: float, digits: int = 0) -> str:
    """As exact as a reader needs it: seconds at first, below ten with so many digits, whole minutes and more later."""
    if age < 10:
        return f"{age:.{digits}f} s"
    for unit, seconds, until in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if age < until:
            return f"{age // seconds:.0f} {unit}"
    return f"{age // 86_400:.0f} d"


def _oldest(row: Told) -> str:
    return "" if row.oldest is None else in_words(_age(row.oldest.since), digits=1)


# By the name that --sort takes.
COLUMNS: dict[str, Column] = {
    "pid": Column("pid", lambda row: str(row.process.pid), lambda row: row.process.pid, descends=False),
    "program": Column("program", lambda row: row.process.program, lambda row: row.process.program, descends=False),
    "up": Column("up", lambda row: in_words(_age(row.process.since)), lambda row: _age(row.process.since)),
    "open": _count("size", "open"),
    "leased": _count("leased"),
    "idle": _count("idle"),
    "connecting": _count("connecting"),
    "waiting": _count("waiting"),
    "p50": _wait(50),
    "p99": _wait(99),
    "oldest": Column("oldest lease", _oldest, lambda row: 0.0 if row.oldest is None else _age(row.oldest.since)),
    "holder": Column(
        "its holder",
        lambda row: "" if row.oldest is None else row.oldest.owner,
        lambda row: "" if row.oldest is None else row.oldest.owner,
        descends=False,
    ),
    "servers": Column(
        "servers", lambda row: _servers(row.process.servers), lambda row: sum(row.process.servers.values())
    ),
}
_TEXTS = {"program", "holder", "servers"}  # on the left of their columns
_SUMMED = ("open", "leased", "idle", "connecting", "waiting")
# The columns of the table: the name for --sort, the title, and whether numbers are in it.
TITLES = (("name", "name", False), *((name, one.title, name not in _TEXTS) for name, one in COLUMNS.items()))
# Most rows say at one look what they said at the last.
_unpacked = lru_cache(maxsize=1024)(unpacked)


class Row(NamedTuple):
    """A row of the table: of one pool of a process, or of all of a name together (``told`` is None)."""

    key: str
    name: str
    told: Told | None
    cells: list[str]


def as_json() -> dict[str, Any]:
    """All shared pools, for other programs."""
    return {
        "pools": [
            {
                "name": pool.name,
                "shared_max": pool.shared_max,
                "processes": [dataclasses.asdict(row.process) for row in pool.rows],
            }
            for pool in shared_pools()
        ]
    }


def rows(sort: str = "pid", reverse: bool = False) -> list[Row]:
    """All shared pools: for each name its processes, sorted by this column, and then a row of their sums.

    Names are in their own order. ``reverse``: the other way round than the column is usually sorted.
    """
    column = COLUMNS[sort]
    found = []
    for pool in shared_pools(_unpacked):
        ordered = sorted(pool.rows, key=column.key, reverse=column.descends != reverse)
        for told in ordered:
            cells = [pool.name, *(one.text(told) for one in COLUMNS.values())]
            found.append(Row(f"{pool.name}\n{told.process.pid}\n{told.number}", pool.name, told, cells))
        found.append(Row(f"{pool.name}\n", pool.name, None, _total(pool)))
    return found


def _total(pool: SharedPool) -> list[str]:
    cells = dict.fromkeys(COLUMNS, "")
    for name in _SUMMED:
        cells[name] = str(sum(COLUMNS[name].key(row) for row in pool.rows))
    cells["open"] += " no limit" if pool.shared_max is None else f" of {pool.shared_max}"
    cells["pid"], cells["program"] = str(len(pool.rows)), "in all"
    return [pool.name, *cells.values()]


def _servers(servers: Any) -> str:
    ordered = sorted(servers.items(), key=lambda item: -item[1])
    shown = [f"{server} {leased}" for server, leased in ordered[:_MOST_SERVERS]]
    return ", ".join(shown + ([f"and {len(ordered) - _MOST_SERVERS} more"] if len(ordered) > _MOST_SERVERS else []))


def table(sort: str = "pid", reverse: bool = False) -> Table:
    """All shared pools, one row for each pool of each process."""
    found = Table(title=f"shared pools at {time.strftime('%H:%M:%S')}", title_justify="left")
    for _, title, number in TITLES:
        found.add_column(title, justify="right" if number else "left", overflow="fold")
    for row in rows(sort, reverse):
        found.add_row(*map(Text, row.cells), end_section=row.told is None, style="bold" if row.told is None else "")
    return found


def leases(name: str, number: int) -> RenderableType:
    """The leases of one pool of a process, with the stacks of their holders. PoolError: it does not answer."""
    said = ask(name, number)
    parts: list[RenderableType] = [
        Text(f"pid {said['pid']}, pool {said['pool']!r} of shared name {name!r}: {len(said['leases'])} leases", "bold")
    ]
    for lease in said["leases"]:
        where = "" if lease["server"] is None else f" to {lease['server']}"
        ended = ", which has ended" if lease["ended"] else ""
        parts.append(Text(f"\nheld for {duration(lease['age_s'])}{where} by {lease['owner']}{ended}", "bold"))
        parts.append(Text("".join(lease["stack"]).rstrip() or "  (no stack: the holder is gone)"))
    return Group(*parts)


def leases_of(pid: int) -> list[RenderableType]:
    """The leases of all shared pools of a process; [] if it has none."""
    return [leases(pool.name, told.number) for pool in shared_pools() for told in pool.rows if told.process.pid == pid]
