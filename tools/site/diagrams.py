"""Mermaid diagrams as pictures: drawn when the site is built, once for light and once for dark pages.

A block of a page that begins with three backticks and ``mermaid`` is drawn by a Mermaid that runs inside Python
(mermaidx), so the site needs no script from elsewhere, and a code host draws the same block by itself. The line
``accTitle: …`` in the block is the picture's alternative text, and must be there.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

THEMES = {"only-light": "default", "only-dark": "dark"}  # furo's class -> Mermaid's theme
_TITLE = re.compile(r"^\s*accTitle: (.+)$", re.MULTILINE)


class diagram(nodes.General, nodes.Element):  # type: ignore[misc]
    """A drawn diagram: ``source`` in Mermaid's language, ``title`` for readers who do not see it."""


class Mermaid(SphinxDirective):  # type: ignore[misc]
    has_content = True

    def run(self) -> list[nodes.Node]:
        source = "\n".join(self.content)
        title = _TITLE.search(source)
        if title is None:
            raise self.error("a diagram needs a line `accTitle: …`: it is what a screen reader says")
        node = diagram(source=source, title=title[1].strip())
        self.set_source_info(node)
        return [node]


def draw(source: str, theme: str) -> str:
    """The diagram as SVG."""
    import mermaidx

    return str(mermaidx.render(source, theme=theme).svg())


def _write_html(self: Any, node: diagram) -> None:
    source, title = node["source"], self.encode(node["title"])
    folder = Path(self.builder.outdir, self.builder.imagedir)
    folder.mkdir(exist_ok=True)
    self.body.append('<figure class="diagram">')
    for kind, theme in THEMES.items():
        digest = sha256(f"{theme} {source}".encode()).hexdigest()[:16]
        name = f"diagram-{digest}.svg"
        if not (folder / name).exists():
            (folder / name).write_text(draw(source, theme), encoding="utf-8")
        self.body.append(f'<img class="{kind}" src="{self.builder.imgpath}/{name}" alt="{title}">')
    self.body.append("</figure>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_node(diagram, html=(_write_html, None))
    app.add_directive("mermaid", Mermaid)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
