"""The site: its navigation and its reference are complete (`make docs` builds it, `make docs-check` looks at it)."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

import fastpool
from fastpool._telemetry.events import EVENTS
from fastpool._telemetry.stats import CLOSE_REASONS, Stats

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
if not (DOCS / "index.md").is_file():
    pytest.skip("the tests run without the checkout around them", allow_module_level=True)

from tools.site import accessible, navigation, reference  # noqa: E402

REFERENCE = "".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("reference/*.md")))
DIRECTIVE = re.compile(r"^\.\. auto(?:class|exception|function|data):: (?:fastpool\.)?(\w+)(?:\(|$)", re.MULTILINE)


def rows_of(text: str, heading: str) -> list[str]:
    """The first cells of the table below a heading."""
    table = text.partition(f"{heading}\n")[2].partition("\n#")[0]
    return re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", table, re.MULTILINE)


def names(cells: list[str]) -> list[str]:
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_every_public_name_is_in_the_reference() -> None:
    described = DIRECTIVE.findall(REFERENCE)
    assert sorted(described) == sorted(set(described)), "a name has one place"
    assert set(fastpool.__all__) - set(described) == set()


def test_every_figure_reason_and_event_is_explained() -> None:
    page = (DOCS / "reference" / "stats.md").read_text(encoding="utf-8")
    assert set(names(rows_of(page, "## Figures"))) == set(inspect.signature(Stats).parameters)
    assert names(rows_of(page, "### Why connections were closed")) == list(CLOSE_REASONS)
    assert names(rows_of(page, "## Events")) == list(EVENTS)


def test_every_error_has_a_place() -> None:
    page = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    errors = [
        name
        for name in fastpool.__all__
        if isinstance(thing := getattr(fastpool, name), type) and issubclass(thing, fastpool.PoolError)
    ]
    assert len(errors) >= 7 and sorted(DIRECTIVE.findall(page)) == errors


@pytest.mark.parametrize(
    "module", ["fastpool.testing", "fastpool.metrics.prometheus", "fastpool.metrics.opentelemetry"]
)
def test_every_other_public_module_is_in_the_reference(module: str) -> None:
    assert f".. automodule:: {module}\n" in REFERENCE


def test_adapters_are_found_by_themselves() -> None:
    assert "<!-- every module of fastpool.adapters -->" in REFERENCE
    found = reference.modules_of("fastpool.adapters")
    assert "fastpool.adapters.happybase" in found and "fastpool.adapters._thrift" not in found
    section = reference.module_section("fastpool.adapters.poodle")
    assert (
        section.startswith("## fastpool.adapters.poodle\n") and ".. automodule:: fastpool.adapters.poodle\n" in section
    )


def test_a_module_whose_library_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(importlib, "import_module", without)
    missing = "sqlalchemy"
    assert "It needs sqlalchemy" in reference.module_section("fastpool.adapters.sqlalchemy")
    missing = "fastpool.adapters.misspelt"
    with pytest.raises(ModuleNotFoundError):
        reference.module_section("fastpool.adapters.misspelt")


def test_every_command_is_in_the_reference() -> None:
    from fastpool._cli.commands import cli

    assert "<!-- every command of fastpool -->" in REFERENCE
    shown = reference.commands()
    assert [name for name in cli.commands if f"## fastpool {name}\n" not in shown] == []
    assert "--seconds" in shown


def test_every_page_is_in_the_index_or_in_the_last_section() -> None:
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.glob("**/*.md")}
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    with_trees = navigation.with_navigation(text, pages)
    in_trees = [
        line.rpartition("<")[2].rstrip(">")
        for tree in re.findall(r"```{toctree}\n(.*?)```", with_trees, re.DOTALL)
        for line in tree.splitlines()
        if line and not line.startswith(":")
    ]
    assert len(in_trees) == len(set(in_trees)), "a page has one place"
    assert {page for page in pages if not page.startswith("decisions/")} - {"index"} <= set(in_trees)


def test_a_page_that_no_list_names_is_put_into_the_last_section() -> None:
    index = "# x\n\n## Start\n\n- [One](one.md): first\n- [Two](two/README.md): second\n"
    pages = {"index", "one", "two/README", "two/0001-a", "new"}
    assert navigation.sections(index) == [("Start", {"one": "One", "two/README": "Two"})]
    text = navigation.with_navigation(index, pages)
    assert "```{toctree}\n:hidden:\n:caption: Start\n\nOne <one>\nTwo <two/README>\n```" in text
    assert text.endswith(f"```{{toctree}}\n:hidden:\n:caption: {navigation.LAST_SECTION}\n\nnew\n```\n")
    assert navigation.with_folder("# y\n", "two/README", pages).endswith("```{toctree}\n:hidden:\n\n0001-a\n```\n")
    assert navigation.LAST_SECTION not in navigation.with_navigation(index, pages - {"new"})


def test_links_out_of_docs_lead_to_the_code_host() -> None:
    def outer(text: str, page: str = "howto/a") -> str:
        return navigation.with_outer_links(text, page, "https://host.example/")

    assert outer("[x](../../README.md#how)") == "[x](https://host.example/README.md#how)"
    assert outer("[x](../b.md) [y](#z) [w](https://other.example)") == "[x](../b.md) [y](#z) [w](https://other.example)"
    assert outer("[x](../tests/a.py)", "b") == "[x](https://host.example/tests/a.py)"
    assert outer("```\n[x](../../README.md)\n```\n") == "```\n[x](../../README.md)\n```\n"


def test_what_scrolls_can_be_reached_by_the_keyboard() -> None:
    body = '<pre>x</pre><pre id="a">y</pre><div class="table-wrapper x"></div><figure class="diagram">'
    assert accessible.reachable(body).count('tabindex="0"') == 3
    assert '<pre tabindex="0">x</pre>' in accessible.reachable(body)
