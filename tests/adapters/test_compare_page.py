"""docs/compare.md: every yes of fastpool is shown by a test that exists. The examples of the drop-ins' pages run."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("happybase")

from tests._pages import functions_of, named_tests, rows
from tests.test_docs import blocks

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


@pytest.mark.parametrize("page", ["socketpool.md", "poodle.md", "dbutils.md"])
def test_the_examples_of_the_drop_ins_pages_run(page: str) -> None:
    examples = blocks(f"docs/{page}")
    assert len(examples) >= 2
    for block in examples:
        namespace: dict[str, Any] = {"__name__": "page"}
        exec(compile(block, page, "exec"), namespace)
        if "pool" in namespace:
            namespace["pool"].close()
