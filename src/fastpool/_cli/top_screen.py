"""`fastpool top` in a terminal: the table, sorted as asked, and the leases of the process under the cursor."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.driver import Driver
from textual.screen import Screen
from textual.widgets import Footer, Static

from .._errors import PoolError
from .top import COLUMNS, leases, rows
from .top_rows import RowsView


class LeasesScreen(Screen[None]):
    """The leases of one pool of a process, and the stacks of their holders."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,left,backspace", "app.pop_screen", "back"), ("r", "ask", "again")]

    def __init__(self, name: str, number: int) -> None:
        super().__init__()
        self._asked = name, number
        self._told = Static("asking the process …", id="told")

    def compose(self) -> ComposeResult:
        """The text, which can be scrolled, and the keys."""
        with VerticalScroll():
            yield self._told
        yield Footer()

    def on_mount(self) -> None:
        """Ask at once."""
        self.action_ask()

    def action_ask(self) -> None:
        """Ask the process, in a thread: it may be stopped."""
        self.run_worker(self._ask(), exclusive=True)

    async def _ask(self) -> None:
        try:
            told: RenderableType = await asyncio.to_thread(leases, *self._asked)
        except PoolError as error:
            told = Text(str(error), style="red")
        self._told.update(told)


class Top(App[None]):
    """The table of all shared pools of this user."""

    TITLE = "fastpool top"
    ENABLE_COMMAND_PALETTE = False
    CSS = "#error { color: red; display: none; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "quit"),
        ("s", "sort", "sort by the next column"),
        ("r", "reverse", "reverse"),
        ("p", "pause", "pause"),
    ]

    def __init__(self, sort: str = "pid", reverse: bool = False, interval_s: float = 2.0) -> None:
        super().__init__()
        self.sort, self.reverse, self.paused = sort, reverse, False
        self._interval_s = interval_s
        self.view = RowsView()
        self.problem = Static(id="error")

    def get_driver_class(self) -> type[Driver]:
        """textual's driver, and on Linux and macOS one whose thread that reads the keys sleeps until there are some."""
        found = super().get_driver_class()
        if found.__module__ != "textual.drivers.linux_driver":
            return found
        from .top_keys import KeysDriver  # here, because its modules are missing on Windows

        return KeysDriver

    def compose(self) -> ComposeResult:
        """The table, an error if there is one, and the keys."""
        yield self.view
        yield self.problem
        yield Footer()

    def on_mount(self) -> None:
        """Draw the table, and again once an interval."""
        self.view.focus()
        self.draw()
        self.set_interval(self._interval_s, self._again)

    def _again(self) -> None:
        if not self.paused and self.screen is self.screen_stack[0]:
            self.draw()

    def draw(self) -> None:
        """Read all pages, and draw them."""
        try:
            found = rows(self.sort, self.reverse)
        except PoolError as error:
            self.problem.update(Text(str(error)))
            self.problem.display = True
            return
        if self.problem.display:
            self.problem.display = False
        self.view.show(found, self.sort, self.reverse)

    # ---- keys ------------------------------------------------------------------------------------------------------

    def _sort_by(self, name: str, reverse: bool) -> None:
        self.sort, self.reverse = name, reverse
        self.draw()

    def action_sort(self) -> None:
        """Sort by the next column."""
        names = list(COLUMNS)
        self._sort_by(names[(names.index(self.sort) + 1) % len(names)], False)

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self._sort_by(self.sort, not self.reverse)

    def action_pause(self) -> None:
        """Stop or go on reading."""
        self.paused = not self.paused

    def on_rows_view_title_clicked(self, event: RowsView.TitleClicked) -> None:
        """Sort by the column whose title was clicked; again: the other way round."""
        self._sort_by(event.name, not self.reverse if event.name == self.sort else False)

    def on_rows_view_chosen(self, event: RowsView.Chosen) -> None:
        """Show the leases of the row under the cursor."""
        if event.row.told is not None:
            self.push_screen(LeasesScreen(event.row.name, event.row.told.number))
