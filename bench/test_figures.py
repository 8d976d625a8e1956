"""The generator of the pictures draws from any JSON of the benchmarks; equal JSON gives equal bytes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from .figures.__main__ import CHARTS, DATA, draw


def words(svg: str) -> str:
    return " ".join("".join(ET.fromstring(svg).itertext()).split())


@pytest.mark.timeout(300)  # matplotlib may look for all fonts first
def test_the_charts_are_drawn_from_any_such_json(tmp_path: Path) -> None:
    for name in CHARTS:
        report = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
        report["environment"]["busy"] = 123.4
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    written = draw(tmp_path, tmp_path / "pictures")
    assert [path.name for path in written] == [f"{name}-{theme}.svg" for name in CHARTS for theme in ("light", "dark")]
    texts = [path.read_text(encoding="utf-8") for path in written]
    assert all("123.4 processes were busy" in words(text) for text in texts)
    assert "fastpool.Pool" in words(texts[0]) and texts[0] != texts[1]
    draw(tmp_path, tmp_path / "again")
    assert [(tmp_path / "again" / path.name).read_text(encoding="utf-8") for path in written] == texts
