"""A recorded terminal, and its animation as SVG.

A recording is an asciicast (version 2): a line of JSON about the terminal, then a line for each piece of output:
seconds, `"o"`, text. `record` makes one of a command; `animate` plays it through a terminal emulator (pyte) and writes
the screens as a strip that CSS moves past a window, so the picture needs no script. Readers who asked for less motion
see the last one.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import pyte

COLUMNS, ROWS = 106, 30
SHORTEST_S = 0.4  # screens that are shown for less are left out
LONGEST_S = 2.0  # a screen that nothing changes for longer is cut to this
LAST_S = 6.0  # the last screen, before it begins again
_CELL_W, _CELL_H, _EDGE = 7.8, 16, 14
_WITHIN_S = 300.0
# The sixteen colours of a terminal on a dark ground, each with enough contrast to be read.
_COLOURS = {
    "default": "#e6e8eb",
    "black": "#9198a1",
    "red": "#ff8f85",
    "green": "#3fcf9b",
    "brown": "#ffd75f",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#76e3ea",
    "white": "#e6e8eb",
}
_GROUND = "#131416"


def record(command: Sequence[str], to: Path) -> None:
    """Run a command in a terminal of its own, and write what it prints, and when, as an asciicast."""
    began = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execvp(command[0], list(command))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    events = []
    try:
        for text in _output(terminal, began + _WITHIN_S):
            events.append([round(time.monotonic() - began, 3), "o", text])
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "command": "fastpool demo"}
    to.write_text("".join(json.dumps(line) + "\n" for line in (header, *events)), encoding="utf-8")


def _output(terminal: int, until: float) -> Iterator[str]:
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # Linux: the command has ended
                return
            if not data:
                return
            yield data.decode("utf-8", "replace")
    raise RuntimeError(f"it did not end within {_WITHIN_S:g} s")


Row = tuple[tuple[str, str, bool], ...]
"""A line of a screen: pieces of text of one colour, and whether they are bold."""


def screens(cast: str) -> Iterator[tuple[float, tuple[Row, ...]]]:
    """The screens of an asciicast, each with the seconds for which it is shown."""
    header, *events = map(json.loads, cast.splitlines())
    screen = pyte.Screen(header["width"], header["height"])
    stream = pyte.Stream(screen)
    shown_since, shown = 0.0, _rows(screen)
    for when, kind, text in events:
        if kind != "o":
            continue
        if when - shown_since >= SHORTEST_S and shown != (now := _rows(screen)):
            yield min(when - shown_since, LONGEST_S), now
            shown_since, shown = when, now
        stream.feed(text)
    yield LAST_S, _rows(screen)


def _rows(screen: pyte.Screen) -> tuple[Row, ...]:
    def piece(cell: Any) -> tuple[str, bool]:
        return cell.fg if cell.fg in _COLOURS else f"#{cell.fg}", cell.bold

    rows = []
    for y in range(screen.lines):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        pieces = [("".join(c.data for c in run), *style) for style, run in groupby(cells, piece)]
        while pieces and not pieces[-1][0].strip():
            pieces.pop()
        rows.append(tuple(pieces))
    return tuple(rows)


def animate(cast: str, title: str) -> str:
    """The SVG of a recording; ``title`` is what a screen reader says."""
    shown = list(screens(cast))
    header = json.loads(cast.partition("\n")[0])
    width = round(header["width"] * _CELL_W) + 2 * _EDGE
    used = max(n + 1 for _, rows in shown for n, row in enumerate(rows) if row)
    height = used * _CELL_H + 2 * _EDGE
    total = sum(seconds for seconds, _ in shown)
    steps, passed = [], 0.0
    for n, (seconds, _) in enumerate(shown):
        steps.append(f"{passed / total:.3%}{{transform:translateX({-n * width}px)}}")
        passed += seconds
    last = -(len(shown) - 1) * width
    strip = "".join(_picture(rows, n * width) for n, (_, rows) in enumerate(shown))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">'
        f'<title id="title">{escape(title)}</title><style>'
        f"text{{font:13px ui-monospace,'DejaVu Sans Mono',monospace;white-space:pre}}"
        f"@keyframes play{{{''.join(steps)}100%{{transform:translateX({last}px)}}}}"
        f"#strip{{animation:play {total:.1f}s steps(1,end) infinite}}"
        f"@media(prefers-reduced-motion:reduce){{#strip{{animation:none;transform:translateX({last}px)}}}}"
        f'</style><rect width="{width}" height="{height}" rx="8" fill="{_GROUND}"/><g id="strip">{strip}</g></svg>\n'
    )


def _picture(rows: tuple[Row, ...], left: int) -> str:
    lines = []
    for n, row in enumerate(rows):
        at, spans = 0, []
        for text, colour, bold in row:
            if text.strip():
                x = left + _EDGE + at * _CELL_W
                style = f'fill="{_COLOURS.get(colour, colour)}"' + (' font-weight="bold"' if bold else "")
                length = f'textLength="{len(text) * _CELL_W:.1f}" lengthAdjust="spacingAndGlyphs"'
                spans.append(f'<tspan x="{x:.1f}" {length} {style}>{escape(text)}</tspan>')
            at += len(text)
        if spans:
            lines.append(f'<text y="{_EDGE + (n + 0.75) * _CELL_H:.1f}">{"".join(spans)}</text>')
    return f"<g>{''.join(lines)}</g>"
