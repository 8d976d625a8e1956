"""docs/aiohappybase.md has every argument there is, and the tests that it names exist."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from ._aio import aiohappybase

ROOT = Path(__file__).resolve().parent.parent.parent
DOC = ROOT / "docs" / "aiohappybase.md"
if not DOC.is_file():
    pytest.skip("the tests run without the checkout around them", allow_module_level=True)
ROWS = [
    [cell.strip() for cell in line.strip("|\n").split(" | ")]
    for line in DOC.read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| --- ", "| | ", "| argument "))
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row[-1])
    assert named, "nothing shows it"
    for path, function in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert not function or function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, path


def test_no_argument_is_left_out() -> None:
    from thriftpy2.contrib.aio.rpc import make_client

    arguments = {
        *inspect.signature(aiohappybase.ConnectionPool).parameters,
        *inspect.signature(aiohappybase.Connection).parameters,
        *inspect.signature(make_client).parameters,
    } - {"kwargs", "client_kwargs"}
    told = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}
    assert arguments - told == set()
