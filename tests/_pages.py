"""The tables of the pages in docs/, and the tests that their rows name."""

from __future__ import annotations

import ast
import functools
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def rows(page: str) -> list[list[str]]:
    """The cells of all rows of a page's tables, without the heads. The calling test is skipped where there are no
    docs."""
    path = ROOT / "docs" / page
    if not path.is_file():
        pytest.skip("the tests run without the checkout around them", allow_module_level=True)
    lines = [*path.read_text(encoding="utf-8").splitlines(), ""]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line, below in pairwise(lines)
        if line.startswith("| ") and not line.startswith("| ---") and not below.startswith("| ---")
    ]


def named_tests(cell: str) -> list[tuple[str, str, str]]:
    """(file, function, case) of each test that a cell names; missing parts are empty."""
    return re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+)(?:\[([^`]+)\])?)?`", cell)


@functools.cache
def functions_of(path: str) -> set[str]:
    """The functions of a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, functions)}
