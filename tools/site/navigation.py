"""The navigation of the site, read from the lists of links in docs/index.md; and links that leave docs/.

A page is added to the navigation by one line in a list of docs/index.md. A page that no list names is put into a last
section, so that a new page never breaks the build. A link to a file outside docs/ leads to that file on the code host.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SECTION = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([\w/.-]+)\.md\)", re.MULTILINE)
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)((?:#[^)\s]*)?)(?=\))")
_FENCE = re.compile(r"(^(`{3,})[^\n]*\n.*?^\2\n)", re.MULTILINE | re.DOTALL)
_INDEX_OF_FOLDER = "README"
LAST_SECTION = "More"


def sections(text: str) -> list[tuple[str, dict[str, str]]]:
    """The sections of the index that have a list of pages: heading, and the pages (without ``.md``) with their
    labels."""
    parts = _SECTION.split(text)[1:]
    found = [
        (parts[n + 1].strip(), {page: label for label, page in _ENTRY.findall(parts[n + 2])})
        for n in range(0, len(parts), 3)
    ]
    return [(heading, pages) for heading, pages in found if pages]


def with_navigation(text: str, pages: set[str]) -> str:
    """The index with a hidden table of contents for each section, and one for the pages that none of them has."""
    listed = sections(text)
    named = {page for _, entries in listed for page in entries}
    rest = sorted(page for page in pages - named - {"index"} if not _in_folder_with_index(page, pages))
    if rest:
        listed.append((LAST_SECTION, dict.fromkeys(rest, "")))
    return text + "".join(_toctree(entries, caption=heading) for heading, entries in listed)


def with_folder(text: str, page: str, pages: set[str]) -> str:
    """The README of a folder, with a hidden table of contents of the other pages there."""
    folder = posixpath.dirname(page)
    others = sorted(other for other in pages if posixpath.dirname(other) == folder and other != page)
    return text + _toctree({posixpath.basename(other): "" for other in others})


def with_outer_links(text: str, page: str, source: str) -> str:
    """The page with links to files outside docs/ made links to the code host; code blocks stay as they are."""
    folder = posixpath.join("docs", posixpath.dirname(page))

    def outer(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link[1]))
        return link[0] if target == "docs" or target.startswith("docs/") else f"{source}{target}{link[2]}"

    parts = _FENCE.split(text)  # text, a block, its fence, text …
    return "".join(_LINK.sub(outer, part) if n % 3 == 0 else part for n, part in enumerate(parts) if n % 3 != 2)


def _in_folder_with_index(page: str, pages: set[str]) -> bool:
    folder = posixpath.dirname(page)
    index = posixpath.join(folder, _INDEX_OF_FOLDER)
    return bool(folder) and index in pages and page != index


def _toctree(entries: dict[str, str], caption: str = "") -> str:
    """A hidden table of contents: pages and their labels; a page without one is shown by its heading."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    lines = [f"{label} <{page}>" if label else page for page, label in entries.items()]
    return "\n".join(["", "", "```{toctree}", *options, "", *lines, "```", ""])


def _read(app: Sphinx, page: str, content: list[str]) -> None:
    pages = set(app.env.found_docs)
    text = content[0]
    if page == app.config.root_doc:
        text = with_navigation(text, pages)
    elif posixpath.basename(page) == _INDEX_OF_FOLDER:
        text = with_folder(text, page, pages)
    content[0] = with_outer_links(text, page, app.config.fastpool_source)


def _index_is_read_again(app: Sphinx, env: Any, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """The pages whose tables of contents are made here depend on which other pages there are."""
    if not added and not removed:
        return []
    return [page for page in env.found_docs if page == app.config.root_doc or Path(page).name == _INDEX_OF_FOLDER]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("fastpool_source", "", "env", str)
    app.connect("source-read", _read)
    app.connect("env-get-outdated", _index_is_read_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
