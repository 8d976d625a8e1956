"""promises.yaml says which test shows what: the tests are there, and nothing of the public interface is left out."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import pytest
import yaml

import fastpool
from fastpool._config import Config

from ._pages import functions_of

HERE = Path(__file__).parent
PROMISES = yaml.safe_load((HERE / "promises.yaml").read_text(encoding="utf-8"))
STATEMENTS = [(statement, tests) for chapter in PROMISES.values() for statement, tests in chapter.items()]


@functools.cache
def names(path: str) -> set[str]:
    """The test functions of a Python file, the scenarios of a YAML file."""
    if path.endswith(".yaml"):
        return {one["scenario"] for one in yaml.safe_load((HERE / path).read_text(encoding="utf-8"))}
    return functions_of(f"tests/{path}")


@pytest.mark.parametrize(("statement", "tests"), STATEMENTS, ids=[statement for statement, _ in STATEMENTS])
def test_what_shows_it_is_there(statement: str, tests: list[str]) -> None:
    assert tests
    for test in tests:
        path, _, name = test.partition("::")
        assert name in names(path), f"{test} is not there"


def test_no_option_is_left_out() -> None:
    told = " ".join(statement for statement, _ in STATEMENTS)
    shown_by_its_own_name = {"max_size", "timing"}
    options = {field.name for field in dataclasses.fields(Config)} - shown_by_its_own_name
    assert [option for option in sorted(options) if f"({option}" not in told] == []
    assert all(option in told for option in shown_by_its_own_name)


def test_no_method_is_left_out() -> None:
    told = " ".join(statement for statement, _ in STATEMENTS)
    methods = {name for name, value in vars(fastpool.Pool).items() if callable(value) and not name.startswith("_")}
    assert {"resize", "warm", "clear"} <= methods
    assert [name for name in sorted(methods) if name not in told] == []
