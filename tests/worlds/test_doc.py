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
    if line.startswith("| ") and not line.startswith(("| where |", "| ---"))
]


WORLDS = {"threads", "gevent", "eventlet", "asyncio", "uvloop", "all in one line", "trio", "fork", "multiprocessing"}
WORLDS |= {"gunicorn", "uwsgi", "Celery", "signals", "finalizers", "the interpreter's end", "sub-interpreters"}


def test_there_are_rows() -> None:
    assert {row[0] for row in ROWS} > WORLDS
    assert len({(row[0], row[1]) for row in ROWS}) == len(ROWS), "one is there twice"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_a_row_names_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+)(?:\[([^`]+)\])?)?`", row[-1])
    assert named or row[1].startswith("not"), "nothing shows it"
    assert row[-1].count("`") == 2 * len(named), "something else is named, too"
    for path, function, case in named:
        assert (ROOT / path).is_file(), path
        text = (ROOT / path).read_text(encoding="utf-8")
        found = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
        assert not function or function in found, f"{path} has no {function}"
        # What it is parametrized by: words of the file itself, or the cases of a program beside it.
        beside = "".join(one.read_text(encoding="utf-8") for one in (ROOT / path).parent.glob("_*.py"))
        assert not case or f'"{case}"' in text + beside or f"def case_{case}()" in beside, f"{path} has no case {case}"
