"""Words: docstrings name their subject, and names that were replaced do not come back.

Texts that match a pattern here had to be read twice; they were rewritten, and new ones fail these tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / "src").is_dir(), reason="the tests run without the checkout around them")

FOLDERS = ["src", "tests", "bench", "tools", "examples"]
SUFFIXES = {".py", ".pyi", ".pyx", ".pxi", ".pxd"}
GENERATED = {".venv", "build", "__pycache__"}
RIDDLE = re.compile(r"(The same|Again|What|Who|Whoever|Those who)\b|[^\n]*\?(\n|\Z)|.*\?\Z", re.DOTALL)
CYTHON_DOCSTRING = re.compile(r'^ *r?"""(.*?)"""', re.DOTALL | re.MULTILINE)

# Word of a name -> what this project says instead
REPLACED = {
    "astray": "desync",
    "bell": "event",
    "claim": "try_end",
    "crowded": "over_size",
    "door": "EnterExit",
    "graves": "inherited",
    "house": "PoolInner, state",  # but for tests/test_house.py itself
    "outdated": "stale",
    "perch": "HubWaiters",
    "rival": "Candidate",
    "rouse": "wake",
    "seat": "entry",
    "team": "run_in_threads",
    "tidied": "reset_done",
    "tidy": "reset",
    "untidy": "needs_reset",
    "visit": "hint",
    "world": "model, driver",
}
NAMED = {"name", "id", "attr", "arg", "asname", "module"}
NO_CODE = re.compile(r'"""(?s:.*?)"""|"[^"\n]*"|\'[^\'\n]*\'|#.*')
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES]
    return [path for path in found if not GENERATED.intersection(path.relative_to(ROOT).parts)]


def docstrings(text: str, suffix: str) -> Iterator[str]:
    """The docstrings of a source file; of Cython's every triple-quoted text at the beginning of a line."""
    if suffix not in (".py", ".pyi"):
        yield from CYTHON_DOCSTRING.findall(text)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def riddles(text: str, suffix: str = ".py") -> list[str]:
    """The docstrings that begin or end as no docstring should."""
    return [one for doc in docstrings(text, suffix) if RIDDLE.match(one := doc.strip())]


def names(text: str, suffix: str) -> set[str]:
    """The names in a source file: in Python's syntax tree; in Cython every word outside of quotes and comments."""
    if suffix in (".py", ".pyi"):
        nodes = ast.walk(ast.parse(text))
        fields = (value for node in nodes for field, value in ast.iter_fields(node) if field in NAMED)
        return {value for value in fields if isinstance(value, str)} - {"test_house"}
    return set(IDENTIFIER.findall(NO_CODE.sub("", text)))


def replaced(name: str) -> list[str]:
    """The present words for those words of a name that were replaced."""
    return [REPLACED[word] for part in PART.findall(name) if (word := part.lower()) in REPLACED]


def test_a_docstring_names_its_subject() -> None:
    paths = sources(*FOLDERS)
    assert len(paths) > 300
    faults = [
        f"{path.relative_to(ROOT)}: {riddle.splitlines()[0]}"
        for path in paths
        for riddle in riddles(path.read_text(encoding="utf-8"), path.suffix)
    ]
    assert faults == [], "say what it is, and what happens"


def test_replaced_words_are_gone_from_names() -> None:
    faults = [
        f"{path.relative_to(ROOT)}: {name}: {', '.join(better)}"
        for path in sources("src", "tests", "bench", "tools")
        for name in sorted(names(path.read_text(encoding="utf-8"), path.suffix))
        if (better := replaced(name))
    ]
    assert faults == [], "say it with the words after the colon"


@pytest.mark.parametrize(
    "text",
    [
        "The same, awaited.",
        "Again is harmless.",
        "Is it open?",
        "Who waits.",
        "Is it?\n\nOr not.",
        "It is. Or not?",
    ],
)
def test_a_riddle_is_found(text: str) -> None:
    code = f'def f():\n    """{text}"""\n'
    assert riddles(code) == riddles(code, ".pyx") != []
    assert riddles('def f():\n    """Whether it is open."""\n') == []


def test_a_replaced_word_is_found_in_a_name() -> None:
    assert [replaced(name) for name in ("World", "an_old_world", "_house", "HOUSE", "CamelDoor")] != [[]] * 5
    assert [replaced(name) for name in ("household", "indoor", "worldwide", "doors")] == [[]] * 4
    assert names("class A(b.C):\n    def d(self, e: f) -> None: ...\n", ".py") == {"A", "b", "C", "d", "self", "e", "f"}
    assert "door" not in names('cdef class A:\n    "door"  # door\n', ".pyx")
