"""docs/worlds.md names tests that exist, in each of its rows but those that say "not"."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOC = ROOT / "docs" / "worlds.md"
if not DOC.is_file():
    pytest.skip("the tests run without the checkout around them", allow_module_level=True)
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in DOC.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| |", "| ---"))
]


def test_there_are_rows() -> None:
    assert {"threads", "gevent", "eventlet", "asyncio", "fork", "trio"} < {row[0] for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row[-1])
    assert named or row[1].startswith("not"), "nothing shows it"
    for path, function in named:
        assert (ROOT / path).is_file(), path
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert not function or function in found, f"{path} has no {function}"
