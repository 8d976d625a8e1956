"""The demo's progress and its closing table."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from .compare.tables import duration

if TYPE_CHECKING:
    from rich.console import Console

    from .demo import Result, Side

_RIGHT, _WRONG = "green", "bold red"


class LiveScreen:
    """One line per step, with a bar that fills while the step runs."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description:<55}"), BarColumn(24), TextColumn("{task.fields[shown]}"))
        self._progress = Progress(*columns, console=console, refresh_per_second=4)
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, what: str, seconds: float | None) -> Callable[[int], None]:
        """Begin a step; the returned function is told the number of operations so far."""
        begin = perf_counter()
        task = self._task = self._progress.add_task(what, total=seconds, shown="")

        def tick(operations: int) -> None:
            passed = perf_counter() - begin
            self._progress.update(task, completed=passed, shown=f"{operations / passed:,.0f} operations/s")

        return tick

    def done(self, result: str) -> None:
        """End the step."""
        self._progress.update(self._task, total=1, completed=1, shown=result)


class PlainScreen:
    """One line per step, written when it is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._what = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def step(self, what: str, seconds: float | None) -> Callable[[int], None]:
        """Begin a step."""
        self._what = what
        return lambda operations: None

    def done(self, result: str) -> None:
        """End the step."""
        self._console.print(f"{self._what:<55} {result}")


def demo_table(result: Result) -> Table:
    """The results of the demo, side by side."""
    theirs, ours = result.happybase, result.fastpool
    table = Table(title="One load, two pools", title_style="bold")
    table.add_column("")
    table.add_column(theirs.name, justify="right")
    table.add_column(ours.name, justify="right")
    table.add_column("", justify="right")

    table.add_row(
        "one checkout + checkin, alone",
        f"{theirs.checkout_ns:,.0f} ns",
        f"{ours.checkout_ns:,.0f} ns",
        f"{result.ratio.times:.0f}× faster",
    )
    for what, a, b in (
        ("8 threads on 8 connections: operations/s", theirs.few.ops_per_s, ours.few.ops_per_s),
        ("64 threads on 8 connections: operations/s", theirs.many.ops_per_s, ours.many.ops_per_s),
    ):
        table.add_row(what, f"{a:,.0f}", f"{b:,.0f}", f"{b / a:.2f}×")
    for what, a, b in (
        ("8 on 8: longest wait", theirs.few.longest_wait_s, ours.few.longest_wait_s),
        ("64 on 8: longest wait", theirs.many.longest_wait_s, ours.many.longest_wait_s),
    ):
        table.add_row(what, duration(a), duration(b), "")
    table.add_row(
        "64 on 8: everyone's wait if all took turns", *(duration(s.many.ideal_wait_s) for s in (theirs, ours)), ""
    )
    served = (f"{s.many.most_served_meanwhile:,}" for s in (theirs, ours))
    table.add_row("64 on 8: others served while one waited, at most", *served, "of 63")
    table.add_row(
        "64 on 8: operations of the thread that got fewest",
        *(f"{s.many.fewest:,} (mean {s.many.mean:,.0f})" for s in (theirs, ours)),
        "",
    )
    table.add_row(
        f"a scan of {result.scanned:,} rows: the client's processor time",
        *(duration(s.scan_s) for s in (theirs, ours)),
        f"{theirs.scan_s / ours.scan_s:.1f}× faster",
    )
    table.add_row("a call is interrupted; then row(b'other') gives", _after(theirs), _after(ours), "")
    return table


def _after(side: Side) -> str:
    outcome = side.after_interruption
    if outcome is None:
        return "not tried: needs POSIX timers"
    if outcome.right:
        return f"[{_RIGHT}]{outcome.got!r}[/]"
    return f"[{_WRONG}]{outcome.got!r}: somebody else's reply[/]"
