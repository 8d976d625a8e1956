"""`fastpool top` in a terminal: the table, sorted as asked, and the leases of the process under the cursor."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static
from textual.widgets.data_table import ColumnKey, RowDoesNotExist

from .._errors import PoolError
from .top import COLUMNS, Row, leases, rows, titles


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

    def __init__(self, sort: str = "pid", reverse: bool = False, interval_s: float = 1.0) -> None:
        super().__init__()
        self.sort, self.reverse, self.paused = sort, reverse, False
        self._interval_s = interval_s
        self._shown: list[Row] = []
        self._table: DataTable[Text] = DataTable(cursor_type="row", zebra_stripes=True)
        self._error = Static(id="error")

    def compose(self) -> ComposeResult:
        """The table, an error if there is one, and the keys."""
        yield self._table
        yield self._error
        yield Footer()

    def on_mount(self) -> None:
        """Draw the table, and again once an interval."""
        for name, _, _ in titles():
            self._table.add_column(self._title(name), key=name)
        self.refresh_rows()
        self.set_interval(self._interval_s, self._again)
        self._table.focus()

    def _title(self, name: str) -> Text:
        title = next(title for one, title, _ in titles() if one == name)
        if name != self.sort:
            return Text(title)
        return Text(f"{title} {'▼' if COLUMNS[name].descends != self.reverse else '▲'}")

    def _again(self) -> None:
        if not self.paused and self.screen is self.screen_stack[0]:
            self.refresh_rows()

    def refresh_rows(self) -> None:
        """Read all pages, and draw what has changed; a row that goes or comes moves no other one's cursor."""
        try:
            found = rows(self.sort, self.reverse)
            self._error.display = False
        except PoolError as error:
            self._error.update(Text(str(error)))
            self._error.display = True
            return
        if [row.key for row in found] == [row.key for row in self._shown]:
            self._draw_changes(found)
        else:
            self._draw_all(found)
        self._shown = found

    def _draw_changes(self, found: list[Row]) -> None:
        for row, before in zip(found, self._shown, strict=True):
            for (name, _, number), cell, old in zip(titles(), row.cells, before.cells, strict=True):
                if cell != old:
                    self._table.update_cell(row.key, name, _text(row, cell, number), update_width=len(cell) > len(old))

    def _draw_all(self, found: list[Row]) -> None:
        at = self._shown[self._table.cursor_row].key if self._shown else None
        scrolled = self._table.scroll_y
        self._table.clear()
        for row in found:
            cells = [_text(row, cell, number) for cell, (_, _, number) in zip(row.cells, titles(), strict=True)]
            self._table.add_row(*cells, key=row.key)
        if at is not None:
            try:
                self._table.move_cursor(row=self._table.get_row_index(at), scroll=False)
            except RowDoesNotExist:
                pass  # that process has ended
        self._table.scroll_to(y=scrolled, animate=False)

    def _sort_by(self, name: str, reverse: bool) -> None:
        self.sort, self.reverse = name, reverse
        for column, _, _ in titles():
            self._table.columns[_key(self._table, column)].label = self._title(column)
        self._shown = []
        self.refresh_rows()
        self._table.refresh()

    # ---- keys ------------------------------------------------------------------------------------------------------

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

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the column whose title was clicked; again: the other way round."""
        name = event.column_key.value
        if name in COLUMNS:
            self._sort_by(name, not self.reverse if name == self.sort else False)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show the leases of the row under the cursor."""
        row = next((row for row in self._shown if row.key == event.row_key.value), None)
        if row is not None and row.told is not None:
            self.push_screen(LeasesScreen(row.name, row.told.number))


def _text(row: Row, cell: str, number: bool) -> Text:
    return Text(cell, style="bold" if row.told is None else "", justify="right" if number else "left")


def _key(table: DataTable[Text], name: str) -> ColumnKey:
    return next(key for key in table.columns if key.value == name)
