"""The pictures of docs/figures: each is there for both themes (bench/test_figures.py draws them)."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "figures"
DATA = ROOT / "bench" / "figures"
pytestmark = pytest.mark.skipif(not PICTURES.is_dir(), reason="the tests run without the checkout around them")

CHARTS = ("checkout", "waits", "recovery")
LOADS = re.compile(r"(?:href|src)\s*=\s*[\"'](?!#)|url\((?!#|\"#|'#)|@import|<script")


def words(svg: str) -> str:
    return " ".join("".join(ET.fromstring(svg).itertext()).split())


def test_each_picture_is_there_loads_nothing_and_says_where_it_was_measured() -> None:
    for name in CHARTS:
        report = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
        for theme in ("light", "dark"):
            svg = (PICTURES / f"{name}-{theme}.svg").read_text(encoding="utf-8")
            assert f"{report['environment']['busy']} processes were busy" in words(svg), name
            assert not LOADS.search(svg), name
    assert not LOADS.search((PICTURES / "demo.svg").read_text(encoding="utf-8"))


def test_a_recording_is_played_screen_by_screen() -> None:
    terminal = pytest.importorskip(
        "bench.figures.terminal", reason="pyte is not installed: pip install 'fastpool[bench]'"
    )
    lines = [
        {"version": 2, "width": 20, "height": 4},
        [0.0, "o", "first"],
        [0.1, "o", "\r\x1b[2Kpassing"],
        [0.2, "o", "\r\x1b[2Ksecond \x1b[31mred & <\x1b[0m"],
        [60.0, "o", "\r\nthird"],
    ]
    cast = "\n".join(map(json.dumps, lines))
    shown = list(terminal.screens(cast))
    texts = [["".join(text for text, *_ in row).rstrip() for row in rows if row] for _, rows in shown]
    assert texts == [["second red & <"], ["second red & <", "third"]]
    assert [seconds for seconds, _ in shown] == [terminal.LONGEST_S, terminal.LAST_S]
    svg = terminal.animate(cast, 'A "title"')
    tree = ET.fromstring(svg)
    assert tree[0].text == 'A "title"' and "red & <" in words(svg) and "prefers-reduced-motion" in svg
    assert f'fill="{terminal._COLOURS["red"]}"' in svg
