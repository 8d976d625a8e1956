"""What the documents say of the repository itself is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DECISIONS = ROOT / "docs" / "decisions"
pytestmark = pytest.mark.skipif(not DECISIONS.is_dir(), reason="the tests run without the checkout around them")


def test_the_index_of_decisions_is_complete() -> None:
    files = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    titles = [(DECISIONS / name).read_text(encoding="utf-8").partition("\n")[0] for name in files]
    for number, (name, title) in enumerate(zip(files, titles, strict=True), 1):
        assert name.startswith(f"{number:04d}-")
        assert title.startswith(f"# {number}. ")
    index = re.findall(
        r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \|$", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert index == [(name[:4], name, title.partition(". ")[2]) for name, title in zip(files, titles, strict=True)]
