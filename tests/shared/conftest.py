"""The party of a test, whose processes end with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shared._party import Party


@pytest.fixture
def party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Party]:
    if sys.platform != "linux":
        pytest.skip("locks of open files are Linux's")
    found = Party(tmp_path / "pages")
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(found.folder))
    try:
        yield found
    finally:
        found.close()
