"""Changes to Sphinx's and furo's pages for readers who use a keyboard or a screen reader; axe-core asks for each.

Whatever scrolls by itself (code, tables, diagrams) can be reached by the keyboard; a heading of the navigation says its
level; the page of the search has a heading.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SCROLLS = {
    re.compile(r"<pre(?=>)"): '<pre tabindex="0"',
    re.compile(r'<div class="table-wrapper'): '<div tabindex="0" role="region" aria-label="Table" class="table-wrapper',
    re.compile(r'<figure class="diagram"'): '<figure tabindex="0" class="diagram"',
}
_HEADING = re.compile(r'role="heading"(?! aria-level)')
_AFTER_FURO = 900  # whose own handler fills in the navigation, with the default of 500


def reachable(body: str) -> str:
    """The body of a page, with what scrolls made reachable."""
    for pattern, text in _SCROLLS.items():
        body = pattern.sub(text, body)
    return body


def _complete(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> str | None:
    context["body"] = reachable(context.get("body") or "")
    navigation = "furo_navigation_tree"
    context[navigation] = _HEADING.sub('role="heading" aria-level="2"', context.get(navigation) or "")
    return "search.jinja" if page == "search" else None  # furo's page with a heading; None: the template as it is


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", _complete, priority=_AFTER_FURO)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
