"""`make docs-check` finds each kind of fault: a small site that has all of them, and one that has none."""

from __future__ import annotations

from pathlib import Path

import pytest

check = pytest.importorskip("tools.site.check", reason="the tests run without the checkout around them")
pytest.importorskip("playwright", reason="playwright is not installed: pip install 'fastpool[docs-check]'")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(check.find_browser() is None, reason="there is no Chromium on the PATH"),
]

HEAD = '<!doctype html><html lang="en"><head><title>A page</title><meta name="viewport" content="width=device-width">'
GOOD = f'{HEAD}</head><body><main><h1>One</h1><p id="here">Text, <a href="other.html#place">more of it</a>.</p></main>'
OTHER = f'{HEAD}</head><body><main><h1>Other</h1><p id="place">Text.</p></main>'
FAULTS = {
    "<h1>Two</h1>": "2 h1, it must be one",
    '<a href="none.html">a link</a>': "a link to none.html, which does not exist",
    '<a href="other.html#none">a link</a>': "there is no such place on that page",
    '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">': "image-alt",
    "<button></button>": "button-name",
    '<a href="other.html"></a>': "link-name",
    '<p style="color: #999; background: #fff">faint</p>': "color-contrast",
    '<div style="width: 900px">wide</div>': "pixels wide, 360 are there",
    '<script src="http://host.example/x.js"></script>': "it asks for http://host.example/x.js",
    "<script>undefinedName()</script>": "undefinedName is not defined",
}


def test_each_kind_of_fault_is_found_and_a_good_page_has_none(tmp_path: Path) -> None:
    (tmp_path / "good.html").write_text(GOOD)
    (tmp_path / "other.html").write_text(OTHER)
    for number, fault in enumerate(FAULTS):
        (tmp_path / f"bad{number}.html").write_text(GOOD.replace("</main>", f"{fault}</main>"))
    found = check.check(tmp_path, [])
    assert [line for line in found if line.startswith(("good", "other"))] == []
    for number, said in enumerate(FAULTS.values()):
        lines = [line for line in found if line.startswith(f"bad{number}.html")]
        assert any(said in line for line in lines), f"{said}: {lines}"
        assert all(said in line for line in lines), f"nothing else: {lines}"


def test_a_search_that_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "search.html").write_text(f'{HEAD}</head><body><h1>Search</h1><ul id="search-results"></ul>')
    before = check.PAGE_MS
    check.PAGE_MS = 2000
    try:
        assert any("it finds nothing" in line for line in check.check(tmp_path, []))
    finally:
        check.PAGE_MS = before
