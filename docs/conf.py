"""How Sphinx builds docs/ as a site: `make docs`. The pages stay plain Markdown that a code host shows, too."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

import fastpool  # noqa: E402

project = "fastpool"
author = "The fastpool founders"
copyright = "The fastpool founders"
release = version = fastpool.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "tools.site.accessible",
    "tools.site.diagrams",
    "tools.site.navigation",
    "tools.site.pictures",
    "tools.site.reference",
]
root_doc = "index"
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4  # as many levels as the pages link to
myst_fence_as_directive = ["mermaid"]
fastpool_source = "https://github.com/fastpool/fastpool/blob/main/"  # where a link to a file outside docs/ leads

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
default_role = "literal"  # of docstrings: `name` is code, as in the pages
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"fastpool {release}"
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["fastpool.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "sidebar_hide_name": False,
    "navigation_with_keys": False,
}
# A highlighting style whose colours all have the contrast that WCAG asks for, by day and by night.
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

copybutton_exclude = ".linenos, .gp"
