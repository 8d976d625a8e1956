"""Every code block of the pages is run, or says in a comment above it why it is not.

The Python blocks of a page run in their order, in one namespace, as if they stood in one file. These comments, which no
reader of the page sees, stand in the line above a block:

    <!-- not run: REASON -->            only compiled, and the names of fastpool in it are looked up
    <!-- in a process of its own -->    the whole page is run in a Python of its own, because it patches or forks the
                                        process, or imports what warns
"""

from __future__ import annotations

import ast
import gc
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import fastpool

ROOT = Path(__file__).resolve().parent.parent
PAGES = [path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))] if path.is_file()]
pytestmark = pytest.mark.skipif(len(PAGES) < 10, reason="the tests run without the checkout around them")

FENCE = re.compile(
    r"(?:^<!-- (?P<mark>not run: [^\n]{10,}|in a process of its own) -->\n)?"
    r"^```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
APART = "in a process of its own"
# What a block may be written in. A terminal's output, a diagram and a configuration file are not run.
LANGUAGES = {"python", "sh", "cython", "mermaid", "ini", "toml", "yaml", "html", "promql", "text", ""}
WITHIN_S = 50


class Block(NamedTuple):
    line: int
    language: str
    text: str
    mark: str

    @property
    def in_its_place(self) -> str:
        """The text, after as many empty lines as stand above it in its page, so that errors name the page's line."""
        return "\n" * (self.line - 1) + self.text


def blocks_of(text: str) -> list[Block]:
    return [
        Block(text[: one.start("text")].count("\n") + 1, one["language"], one["text"], one["mark"] or "")
        for one in FENCE.finditer(text)
    ]


def python_of(page: Path) -> list[Block]:
    return [block for block in blocks_of(page.read_text(encoding="utf-8")) if block.language == "python"]


def shown(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


WITH_PYTHON = [page for page in PAGES if python_of(page)]


def imported(text: str) -> set[str]:
    """The top-level packages that a text imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("page", WITH_PYTHON, ids=shown)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a page may write files
    blocks = [block for block in python_of(page) if not block.mark.startswith("not run")]
    if not blocks:
        pytest.skip("each block of this page says why it is not run")
    needed = set().union(*(imported(block.text) for block in blocks))
    if missing := sorted(name for name in needed if importlib.util.find_spec(name) is None):
        pytest.skip(f"not installed: {', '.join(missing)}")
    if any(block.mark == APART for block in blocks):
        program = tmp_path / "page.py"
        program.write_text("\n".join(block.text for block in blocks), encoding="utf-8")
        done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=WITHIN_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block.in_its_place, shown(page), "exec"), namespace)
    for value in namespace.values():
        ours = type(value).__module__.split(".")[0] == "fastpool" and not isinstance(value, fastpool.AsyncPool)
        if ours and hasattr(type(value), "closed") and not value.closed:
            value.close()
    del value
    namespace.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a page does not close all that it shows
        gc.collect()


@pytest.mark.parametrize("page", WITH_PYTHON, ids=shown)
def test_python_that_is_not_run_is_python_with_names_that_exist(page: Path) -> None:
    for block in python_of(page):
        tree = compile(block.in_its_place, shown(page), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fastpool":
                assert hasattr(fastpool, node.attr) or importlib.util.find_spec(f"fastpool.{node.attr}"), node.attr
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastpool"):
                assert importlib.util.find_spec(str(node.module)), node.module


def shell_lines(page: Path) -> list[str]:
    """The commands of a page's shell blocks, without comments; a command may go on in the next line."""
    text = "".join(block.text for block in blocks_of(page.read_text(encoding="utf-8")) if block.language == "sh")
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("page", [page for page in PAGES if shell_lines(page)], ids=shown)
def test_commands_name_what_exists(page: Path) -> None:
    from fastpool._cli import commands

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    targets = set(re.findall(r"^([a-z][\w.-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in shell_lines(page):
        words = [word for word in shlex.split(line, comments=True) if "=" not in word]
        program, *rest = [word.rpartition("/")[2] for word in words]
        if program == "make":
            assert set(rest) <= targets, line
        elif program == "fastpool":
            assert hasattr(commands, rest[0]), line
        for name in re.findall(r"fastpool\[([\w,-]+)\]", line):
            assert set(name.split(",")) <= set(extras), line


def test_blocks_are_in_known_languages() -> None:
    told = {
        f"{shown(page)}:{block.line}: {block.language}"
        for page in PAGES
        for block in blocks_of(page.read_text(encoding="utf-8"))
        if block.language not in LANGUAGES
    }
    assert told == set()


def test_marks_stand_above_a_block_and_give_a_reason() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        marks = re.findall(r"^<!-- (?:not run|in a process).*$", text, re.MULTILINE)
        assert len(marks) == sum(bool(block.mark) for block in blocks_of(text)), shown(page)


def test_how_blocks_are_found() -> None:
    text = "a\n<!-- not run: it needs a server -->\n```python\nx = 1\n```\n\n```sh\nls\n```\n```\nout\n```\n"
    assert blocks_of(text) == [
        Block(4, "python", "x = 1\n", "not run: it needs a server"),
        Block(8, "sh", "ls\n", ""),
        Block(11, "", "out\n", ""),
    ]
    assert imported("import a.b, c\ndef f():\n    from d.e import g\n") == {"a", "c", "d"}
