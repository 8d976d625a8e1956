"""docs/concurrency.md names tests that exist, in each of its rows but those that say "not"."""

from __future__ import annotations

import pytest

from tests._pages import ROOT, functions_of, named_tests, rows

ROWS = rows("concurrency.md")
MODELS = {"threads", "gevent", "eventlet", "asyncio", "uvloop", "all in one line", "trio", "fork", "multiprocessing"}
MODELS |= {"gunicorn", "uwsgi", "Celery", "signals", "finalizers", "the interpreter's end", "sub-interpreters"}


def test_there_are_rows() -> None:
    assert {row[0] for row in ROWS} > MODELS
    assert len({(row[0], row[1]) for row in ROWS}) == len(ROWS), "one is there twice"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}: {row[1]}" for row in ROWS])
def test_a_row_names_tests_that_exist(row: list[str]) -> None:
    named = named_tests(row[-1])
    assert named or row[1].startswith("not"), "nothing shows it"
    assert row[-1].count("`") == 2 * len(named), "something else is named, too"
    for path, function, case in named:
        assert (ROOT / path).is_file(), path
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not function or function in functions_of(path), f"{path} has no {function}"
        # What it is parametrized by: words of the file itself, or the cases of a program beside it.
        beside = "".join(one.read_text(encoding="utf-8") for one in (ROOT / path).parent.glob("_*.py"))
        assert not case or f'"{case}"' in text + beside or f"def case_{case}(" in beside, f"{path} has no case {case}"
