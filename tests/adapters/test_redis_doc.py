"""docs/redis.md: the tests that its rows name exist, and its examples run."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("redis")

from tests._pages import functions_of, named_tests, rows
from tests.test_docs import blocks

ROWS = [row for row in rows("redis.md") if any("test_redis" in cell for cell in row)]


def test_the_tables_are_read() -> None:
    assert len(ROWS) > 20


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_every_row_is_shown(row: list[str]) -> None:
    tests = named_tests(row[-1])
    assert tests
    assert all(function in functions_of(path) for path, function, _ in tests)


def test_the_examples_run() -> None:
    for example in blocks("docs/redis.md"):
        namespace: dict[str, Any] = {}
        exec(compile(example, "docs/redis.md", "exec"), namespace)
