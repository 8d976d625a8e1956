"""The party of a test, whose processes end with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastpool._shared.joining import SUPPORTED
from tests.shared._party import Party


@pytest.fixture
def party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Party]:
    if not SUPPORTED:
        pytest.skip("this system has no locks of open files")
    found = Party(tmp_path / "pages")
    monkeypatch.setenv("FASTPOOL_SHARED_DIR", str(found.folder))
    try:
        yield found
    finally:
        found.close()
