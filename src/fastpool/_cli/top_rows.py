"""The table of `fastpool top` as a widget: each line is one piece of text, so that a redraw takes hardly any time.

textual's DataTable draws each cell by itself, which took a tenth of a second for fifty processes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from .top import COLUMNS, TITLES, Row

_HEADER, _TOTAL, _CURSOR = Style(bold=True, reverse=True), Style(bold=True), Style(reverse=True)
_GAP = 2  # cells between two columns


class RowsView(ScrollView, can_focus=True):
    """A header that stays, the rows below it, and a cursor that stays with its row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("up", "move(-1)", ""),
        ("down", "move(1)", ""),
        ("pageup", "page(-1)", ""),
        ("pagedown", "page(1)", ""),
        ("home", "move(-1000000)", ""),
        ("end", "move(1000000)", ""),
        ("enter", "choose", "its leases"),
    ]

    class Chosen(Message):
        """The user wants to see the leases of this row."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    class TitleClicked(Message):
        """The user wants the rows sorted by this column."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._lines: list[str] = []  # the header, and then a line for each row
        self._ends: list[tuple[int, str]] = []  # of each column: where it ends, and its name
        self._at = 0  # the cursor's row

    def show(self, found: list[Row], sort: str, reverse: bool) -> None:
        """Draw these rows. The cursor stays on its row; if that is gone, where it was."""
        keys = [row.key for row in found]
        if self.rows and self.rows[self._at].key in keys:
            self._at = keys.index(self.rows[self._at].key)
        seen_before = self._lines, self._at
        self.rows, self._at = found, max(min(self._at, len(found) - 1), 0)
        arrow = "▼" if COLUMNS[sort].descends != reverse else "▲"
        names = [f"{title} {arrow}" if name == sort else title for name, title, _ in TITLES]
        texts = [names, *(row.cells for row in found)]
        lengths = [list(map(cell_len, cells)) for cells in texts]
        widths = list(map(max, zip(*lengths, strict=True)))
        self._lines = [_line(cells, have, widths) for cells, have in zip(texts, lengths, strict=True)]
        ends = [sum(widths[: number + 1]) + _GAP * (number + 1) for number in range(len(widths))]
        self._ends = [(end, name) for end, (name, _, _) in zip(ends, TITLES, strict=True)]
        size = Size(ends[-1], len(self._lines))
        if size == self.virtual_size:
            self._redraw(*seen_before)
        else:
            self.virtual_size = size
            self.refresh()

    def _redraw(self, lines: list[str], at: int) -> None:
        """Draw those lines again that differ from these, or where the cursor was or is."""
        changed = {number for number, (old, new) in enumerate(zip(lines, self._lines, strict=True)) if old != new}
        if at != self._at:
            changed |= {at + 1, self._at + 1}
        width, height = self.size
        scrolled = self.scroll_offset.y
        seen = [y for y in range(height) if _line_at(y, scrolled) in changed]
        if seen:
            self.refresh(*(Region(0, y, width, 1) for y in seen))

    def render_lines(self, crop: Region) -> list[Strip]:
        """These lines of the screen. textual would look for borders, paddings and colours in each: there are none."""
        x, scrolled = self.scroll_offset
        width = self.size.width
        strips = []
        for y in crop.line_range:
            number = _line_at(y, scrolled)
            text = self._lines[number] if number < len(self._lines) else ""
            strips.append(strip_of(text, self._style(number), x, width).crop(crop.x, crop.right))
        return strips

    def _style(self, number: int) -> Style:
        if number == 0:
            return _HEADER
        if number > len(self.rows):
            return Style.null()
        if number - 1 == self._at:
            return _CURSOR
        return _TOTAL if self.rows[number - 1].told is None else Style.null()

    # ---- keys, and the mouse ---------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Move the cursor, and scroll if it would be out of sight."""
        self._at = max(min(self._at + by, len(self.rows) - 1), 0)
        seen = max(self.size.height - 1, 1)  # below the header
        top = self.scroll_offset.y
        self.scroll_to(y=min(max(top, self._at + 1 - seen), self._at), animate=False)
        self.refresh()

    def action_page(self, by: int) -> None:
        """Move the cursor by what is seen at once."""
        self.action_move(by * max(self.size.height - 2, 1))

    def action_choose(self) -> None:
        """Show the leases of the row under the cursor."""
        if self.rows and self.rows[self._at].told is not None:
            self.post_message(self.Chosen(self.rows[self._at]))

    def on_click(self, event: Click) -> None:
        """Move the cursor to the row; choose it if it is there already. A title sorts by its column."""
        if event.y == 0:
            names = [name for end, name in self._ends if event.x + self.scroll_offset.x < end]
            if names and names[0] in COLUMNS:
                self.post_message(self.TitleClicked(names[0]))
            return
        number = _line_at(event.y, self.scroll_offset.y) - 1
        if number < len(self.rows):
            if number == self._at:
                self.action_choose()
            else:
                self.action_move(number - self._at)


@lru_cache(maxsize=256)  # more lines than a screen has: those that are as they were are not made again
def strip_of(text: str, style: Style, x: int, width: int) -> Strip:
    """So many cells of this text, from the cell ``x`` on."""
    seen = Segment(text).split_cells(x)[1].text
    return Strip([Segment(set_cell_size(seen, width), style)], width)


def _line_at(y: int, scrolled: int) -> int:
    """The number of the line that is on this line of the screen: the header stays on the first."""
    return 0 if y == 0 else y + scrolled


def _line(cells: list[str], lengths: list[int], widths: list[int]) -> str:
    parts = []
    for cell, length, width, (_, _, number) in zip(cells, lengths, widths, TITLES, strict=True):
        room = " " * (width - length)
        parts.append(room + cell if number else cell + room)
    return "".join(part + " " * _GAP for part in parts)
