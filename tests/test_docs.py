"""The documents: the files that they cite exist, their examples run, and their lists are complete."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from ._pages import functions_of
from .test_house import files

ROOT = Path(__file__).resolve().parent.parent
DECISIONS = ROOT / "docs" / "decisions"
pytestmark = pytest.mark.skipif(not DECISIONS.is_dir(), reason="the tests run without the checkout around them")

CITING = {".md", ".py", ".pyx", ".pxi", ".pxd", ".pyi", ".h", ".pml", ".yaml", ".toml", ".sh"}
CITED = re.compile(r"(?<![\w/.:@{}*<-])[\w./-]*[\w-]\.(?:md|py|pyx|pxi|pxd|pyi|pml|h|yaml|sh)\b(?!\.?[\w(-])")
FOLDER = re.compile(r"(?<![\w/.-])(?:src|tests|docs|bench|tools|examples)/[\w/]*\w(?![\w./*{-])")
CODE_OF_OTHERS = re.compile(r"^\s*(?:#\s*include\b|(?:cdef|from)\b.*\bextern\b|(?:from|c?import)\b|from: )")
FILES_OF_OTHERS = {"Python.h", "greenlet.h", "pythread.h", "test_api.py"}  # greenlet's, CPython's, happybase's
FILES_OF_OTHERS |= {"windows.h", "winsock.h", "winsock2.h"}


def paths() -> set[str]:
    """Every way to name a tracked file or folder: its path from any folder above it."""
    known = set()
    for path in files():
        parts = path.relative_to(ROOT).parts
        for end in range(1, len(parts) + 1):
            known |= {"/".join(parts[start:end]) for start in range(end)}
    return known


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that may cite another: of Python only comments and docstrings, because other strings are
    data."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from ((n, line) for n, line in enumerate(text.splitlines(), 1) if not CODE_OF_OTHERS.match(line))
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from enumerate((ast.get_docstring(node) or "").splitlines(), getattr(node, "lineno", 1))


@functools.cache
def citing_lines() -> list[tuple[str, str]]:
    """(where, line) of all lines that may cite a file."""
    return [
        (f"{path.relative_to(ROOT)}:{n}", line)
        for path in files()
        if path.suffix in CITING or path.name == "Makefile"
        for n, line in prose(path)
    ]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("line", "cited"),
    [
        ("as `docs/none.md` says, and waitq.pxd", ["docs/none.md", "waitq.pxd"]),
        ("see ../docs/none.md#heading and tests/none", ["../docs/none.md", "tests/none"]),
        ("a user's own_module.py.in, file.md(1), https://host.example/docs/page.md, tests/*.py, from x.py_y", []),
    ],
)
def test_what_a_line_cites(line: str, cited: list[str]) -> None:
    assert [name for pattern in (CITED, FOLDER) for name in pattern.findall(line)] == cited


def test_files_and_folders_that_are_cited_exist() -> None:
    known = paths() | FILES_OF_OTHERS
    faults = [
        f"{where}: {cited}"
        for where, line in citing_lines()
        for pattern in (CITED, FOLDER)
        for cited in pattern.findall(line)
        if cited.lstrip("./") not in known
    ]
    assert faults == []


def test_links_lead_somewhere() -> None:
    faults = []
    for path in files():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            name, _, anchor = target.partition("#")
            to = path.parent / name if name else path
            if "://" not in target and not (to.exists() and (not anchor or anchor in anchors(to))):
                faults.append(f"{path.relative_to(ROOT)}: {target}")
    assert faults == []


def test_tests_that_are_cited_exist() -> None:
    faults = [
        f"{where}: {cited}::{function}"
        for where, line in citing_lines()
        for cited, function in re.findall(r"\b(tests/[\w/]+\.py)::(\w+)", line)
        if not (ROOT / cited).is_file() or function not in functions_of(cited)
    ]
    assert faults == []


def test_decisions_that_are_cited_exist() -> None:
    numbers = {int(path.name[:4]) for path in DECISIONS.glob("[0-9]*.md")}
    faults = [
        f"{where}: {line.strip()}"
        for where, line in citing_lines()
        for number in re.findall(r"\b[Dd]ecision \[?(\d+)", line)
        if int(number) not in numbers
    ]
    assert faults == []


def test_the_index_of_decisions_is_complete() -> None:
    names = sorted(path.name for path in DECISIONS.glob("[0-9]*.md"))
    titles = [(DECISIONS / name).read_text(encoding="utf-8").partition("\n")[0] for name in names]
    for number, (name, title) in enumerate(zip(names, titles, strict=True), 1):
        assert name.startswith(f"{number:04d}-")
        assert title.startswith(f"# {number}. ")
    page = (DECISIONS / "README.md").read_text(encoding="utf-8")
    index = re.findall(r"^\| \[(\d{4})\]\((\S+)\) \| (.+) \|$", page, re.MULTILINE)
    assert index == [(name[:4], name, title.partition(". ")[2]) for name, title in zip(names, titles, strict=True)]


@functools.cache
def in_tests() -> list[str]:
    """The files of tests/, relative to it."""
    return [path.relative_to(ROOT / "tests").as_posix() for path in files() if path.is_relative_to(ROOT / "tests")]


def folder_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else "top"


def helpers_imported(name: str) -> set[str]:
    """The files of tests/ that a file there imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "tests" / name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package = ["tests", *name.split("/")[:-1]]
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return {f"{one.removeprefix('tests.').replace('.', '/')}.py" for one in found}


def test_the_page_of_the_tests_is_complete() -> None:
    folders, helpers = (ROOT / "tests" / "README.md").read_text(encoding="utf-8").split("## Helpers")
    assert set(re.findall(r"^\| `(\w+)/`", folders, re.MULTILINE)) == set(map(folder_of, in_tests())) - {"top"}
    named = re.findall(r"`([\w/]+\.\w+)`", helpers)
    native_or_python = [name for name in in_tests() if name.endswith((".py", ".pyx", ".pxi", ".h"))]
    assert sorted(named) == [
        name for name in sorted(native_or_python) if not name.rpartition("/")[2].startswith(("test_", "conftest."))
    ]


def test_the_page_of_the_tests_says_whose_each_helper_is() -> None:
    users: dict[str, set[str]] = {}
    for name in in_tests():
        for helper in helpers_imported(name) if name.endswith(".py") else ():
            users.setdefault(helper, set()).add(folder_of(name))
    page = (ROOT / "tests" / "README.md").read_text(encoding="utf-8").partition("## Helpers")[2]
    for line in page.splitlines():
        if line.startswith("| `"):
            first, _, last = line.split(" | ")
            helpers = re.findall(r"`([\w/]+\.\w+)`", first)
            said = set(re.findall(r"\w+", last))
            real = set().union(*(users.get(helper, set()) for helper in helpers))
            owner = {folder_of(helper) for helper in helpers} - {"top"}
            assert said == (real or owner or said), f"{first} is used by {sorted(real or owner)}"


def blocks(page: str) -> list[str]:
    """The Python in a page, each block with the line numbers of the page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return ["\n" * (text[: one.start()].count("\n") + 1) + one[1] for one in found]


def test_the_first_screen_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted = [
        "pip install fastpool\n",
        "with pool.connection()",
        "<!-- figures: demo -->",
        "make demo",
        "make test",
        "\n## ",
    ]
    places = [text.index(one) for one in wanted]
    assert places == sorted(places)
    assert len(blocks("README.md")[0].strip().splitlines()) == 6


def test_the_tour_goes_where_it_says() -> None:
    """Each stop names a file and a line of it; the line stands there once."""
    stops = re.findall(
        r"^\d\. (?:Back in )?`(src/[^`]+)`, `([^`]+)`", (ROOT / "docs" / "tour.md").read_text(), re.MULTILINE
    )
    assert len(stops) == 7
    assert len({file for file, _ in stops}) <= 7
    for file, line in stops:
        assert (ROOT / file).read_text().count(line) == 1, f"{file}: {line}"


def test_the_walk_of_contributing_changes_the_lines_that_it_names() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = re.findall(r"""^sed -i (['"])s/(.+)/.+/\1 (\S+)$""", text, re.MULTILINE)
    assert len(walk) == 2, walk
    for _, pattern, path in walk:
        assert (ROOT / path).read_text(encoding="utf-8").count(pattern) == 1, f"{path}: {pattern}"
