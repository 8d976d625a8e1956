"""docs/options.md describes every option as the code has it; tests/test_pages.py runs its examples."""

import dataclasses
import re
from pathlib import Path

import pytest

from fastpool._config import Config
from fastpool._telemetry.events import EVENTS

DOC = Path(__file__).resolve().parents[2] / "docs" / "options.md"
pytestmark = pytest.mark.skipif(not DOC.exists(), reason="the tests run without the checkout around them")


def text():
    return DOC.read_text(encoding="utf-8")


def rows():
    """Option -> default, from all the tables."""
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", text(), re.MULTILINE))


def test_every_option_is_in_a_table_with_its_default():
    told = rows()
    assert set(told) == {field.name for field in dataclasses.fields(Config)}
    for field in dataclasses.fields(Config):
        shown = told[field.name].strip("`").replace('"', "'")
        expected = "pool-1`, `pool-2` …" if field.name == "name" else repr(field.default)
        assert shown == expected, field.name


def test_every_option_is_explained_and_given_in_an_example():
    blocks = "".join(re.findall(r"```python\n(.*?)```", text(), re.DOTALL))
    for field in dataclasses.fields(Config):
        assert re.search(rf"^`{field.name}\b[^|]*$", text(), re.MULTILINE), f"{field.name} has no paragraph"
        assert re.search(rf"\b{field.name}=", blocks), f"{field.name} is in no example"


def test_every_event_is_named():
    assert [name for name in EVENTS if not re.search(rf"\b{name}\b", text())] == []
