"""A page that something cut while its head still counts the rows that are gone."""

from __future__ import annotations

import os
import sys

import pytest

from fastpool._shared import folder
from tests.shared._party import Party

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a mapped file cannot be cut there")
HEAD, ROW = 4096, 896  # bytes


def test_reading_it_is_an_error_and_does_not_end_the_process(party: Party) -> None:
    many, reader = party.worker(), party.worker()
    assert many.do("global pools; pools = [make() for _ in range(40)]") is None
    many.kill()
    page = party.folder / folder.file_name("tested")
    assert page.stat().st_size > HEAD + 40 * ROW
    os.truncate(page, HEAD + 16 * ROW)
    said = reader.get("fastpool.shared_stats('tested')")
    assert said.startswith("PoolError: shared 'tested': ") and f"was cut off: it has {HEAD + 16 * ROW} bytes" in said
    assert reader.do("global pool; pool = make(shared_max=1); answer = pool.warm()") == 1, "it is made anew"
    assert reader.get("[told.size for told in fastpool.shared_stats('tested')]") == [1]
