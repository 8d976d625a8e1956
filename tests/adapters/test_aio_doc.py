"""docs/aiohappybase.md lists every argument, and the tests that it names exist."""

from __future__ import annotations

import inspect
import re

import pytest

from tests._pages import functions_of, named_tests, rows

from ._aio import aiohappybase

ROWS = rows("aiohappybase.md")


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_tests_that_exist(row: list[str]) -> None:
    named = named_tests(row[-1])
    assert named, "nothing shows it"
    for path, function, _ in named:
        assert not function or function in functions_of(path), path


def test_no_argument_is_left_out() -> None:
    from thriftpy2.contrib.aio.rpc import make_client

    arguments = {
        *inspect.signature(aiohappybase.ConnectionPool).parameters,
        *inspect.signature(aiohappybase.Connection).parameters,
        *inspect.signature(make_client).parameters,
    } - {"kwargs", "client_kwargs"}
    told = {name for row in ROWS for name in re.findall(r"`(\w+)`", row[0])}
    assert arguments - told == set()
