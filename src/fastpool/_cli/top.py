"""The command `fastpool top`: every shared pool of this user on this machine, read from its page."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from rich.table import Table

from .._shared.reading import SharedPool, shared_pools
from .compare.tables import duration

if TYPE_CHECKING:
    from rich.console import Console

_INTERVAL_S = 1.0
_MOST_SERVERS = 4  # in a row of the table


def as_json() -> dict[str, Any]:
    """All shared pools, for other programs."""
    return {
        "pools": [
            {
                "name": pool.name,
                "shared_max": pool.shared_max,
                "processes": [dataclasses.asdict(process) for process, _ in pool.rows],
            }
            for pool in shared_pools()
        ]
    }


def table() -> Table:
    """All shared pools, one row for each pool of each process."""
    found = Table(title=f"shared pools at {time.strftime('%H:%M:%S')}", title_justify="left")
    for column in (
        "name",
        "pid",
        "program",
        "up",
        "open",
        "leased",
        "idle",
        "connecting",
        "waiting",
        "wait p99",
        "servers",
    ):
        right = column not in ("name", "program", "servers")
        found.add_column(column, justify="right" if right else "left", overflow="fold")
    for pool in shared_pools():
        for process, stats in pool.rows:
            wait = stats.wait.percentile(99) if stats.wait.count else None
            found.add_row(
                pool.name, str(process.pid), process.program, duration(max(time.time() - process.since, 0.0)),
                *(str(getattr(process, field)) for field in _SUMMED),
                "" if wait is None else duration(wait), _servers(process.servers),
            )  # fmt: skip
        found.add_row(*_total(pool), end_section=True, style="bold")
    return found


def _total(pool: SharedPool) -> list[str]:
    processes = [process for process, _ in pool.rows]
    total = [sum(getattr(process, field) for process in processes) for field in _SUMMED]
    most = "no limit" if pool.shared_max is None else f"of {pool.shared_max}"
    return [pool.name, str(len(processes)), "in all", "", f"{total[0]} {most}", *map(str, total[1:]), "", ""]


_SUMMED = ("size", "leased", "idle", "connecting", "waiting")


def _servers(servers: Any) -> str:
    ordered = sorted(servers.items(), key=lambda item: -item[1])
    shown = [f"{server} {leased}" for server, leased in ordered[:_MOST_SERVERS]]
    return ", ".join(shown + ([f"and {len(ordered) - _MOST_SERVERS} more"] if len(ordered) > _MOST_SERVERS else []))


def watch(console: Console) -> None:
    """Show the table, and again each second, until Ctrl-C."""
    from rich.live import Live

    with Live(table(), console=console, auto_refresh=False, screen=True) as live:
        try:
            while True:
                time.sleep(_INTERVAL_S)
                live.update(table(), refresh=True)
        except KeyboardInterrupt:
            pass
