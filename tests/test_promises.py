"""The tests that promises.yaml names exist, and it covers the whole public interface."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import pytest
import yaml

import fastpool
from fastpool._config import Config

from ._pages import functions_of
from ._promises import REGISTER, ROOT, WHERE, filled, statements, tables

HERE = Path(__file__).parent
STATEMENTS = statements()
TOLD = " ".join(statement for statement, _ in STATEMENTS)
MODELS = {"threads", "gevent", "eventlet", "asyncio", "uvloop", "all in one line", "trio", "fork", "multiprocessing"}
MODELS |= {"gunicorn", "uwsgi", "Celery", "signals", "finalizers", "the interpreter's end", "sub-interpreters"}


@functools.cache
def names(path: str) -> set[str]:
    """The test functions of a Python file, the scenarios of a YAML file."""
    if path.endswith(".yaml"):
        return {one["scenario"] for one in yaml.safe_load((HERE / path).read_text(encoding="utf-8"))}
    return functions_of(f"tests/{path}")


def has_case(path: str, case: str) -> bool:
    """Whether a test of this file is parametrized by the case: in its own text, or by a program beside it."""
    own = (HERE / path).read_text(encoding="utf-8")
    beside = "".join(one.read_text(encoding="utf-8") for one in (HERE / path).parent.glob("_*.py"))
    return f'"{case}"' in own + beside or f"def case_{case}(" in beside


@pytest.mark.parametrize(("statement", "tests"), STATEMENTS, ids=[statement for statement, _ in STATEMENTS])
def test_what_shows_it_is_there(statement: str, tests: list[str]) -> None:
    assert tests or ": not yet" in statement, "nothing shows it"
    for test in tests:
        path, _, name = test.partition("::")
        name, _, case = name.partition("[") if path.endswith(".py") else (name, "", "")
        assert (HERE / path).is_file(), f"{path} is not there"
        assert not name or name in names(path), f"{test} is not there"
        assert not case or has_case(path, case.removesuffix("]")), f"{path} has no case {case}"


def test_it_begins_with_what_matters_most() -> None:
    assert STATEMENTS[0][0] == "nobody reads another's reply"
    assert set(REGISTER[WHERE]) > MODELS
    assert len({statement for statement, _ in STATEMENTS}) == len(STATEMENTS), "a statement is there twice"


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the tests run without the checkout around them")
@pytest.mark.parametrize(("document", "name"), tables())
def test_tables_of_the_documents_are_those_of_the_register(document: str, name: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert filled(document, name, tables()[document, name]) == text, "write them anew: python -m tests._promises"


def test_no_option_is_left_out() -> None:
    shown_by_its_own_name = {"max_size", "timing"}
    options = {field.name for field in dataclasses.fields(Config)} - shown_by_its_own_name
    assert [option for option in sorted(options) if f"({option}" not in TOLD] == []
    assert all(option in TOLD for option in shown_by_its_own_name)


def test_no_method_is_left_out() -> None:
    public = (name for name in dir(fastpool.Pool) if not name.startswith("_"))
    methods = {name for name in public if callable(getattr(fastpool.Pool, name))}
    assert {"resize", "warm", "clear"} <= methods
    assert [name for name in sorted(methods) if name not in TOLD] == []
