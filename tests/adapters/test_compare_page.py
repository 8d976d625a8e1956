"""docs/compare.md: every yes of fastpool is shown by a test that exists."""

from __future__ import annotations

import pytest

pytest.importorskip("happybase")

from tests._pages import functions_of, named_tests, rows

FEATURES = [row for row in rows("compare.md") if len(row) == 10]


def test_the_table_is_read() -> None:
    assert len(FEATURES) == 88 and len({row[0] for row in FEATURES}) == 88


@pytest.mark.parametrize("row", FEATURES, ids=[row[0] for row in FEATURES])
def test_every_yes_is_shown(row: list[str]) -> None:
    *_, ours, shown = row
    assert ours[0] in "YP–"
    tests = named_tests(shown)
    assert bool(tests) == (ours[0] in "YP"), "a test for each yes, and for nothing else"
    assert all(function in functions_of(path) for path, function, _ in tests)
