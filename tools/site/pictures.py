"""Pictures in two themes: a page names ``x-light.svg``, and the site shows ``x-dark.svg`` on dark pages.

A code host shows the light one on both, which has a ground of its own and can be read there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_LIGHT, _DARK = "-light.svg", "-dark.svg"


class BothThemes(SphinxTransform):  # type: ignore[misc]
    """Puts the dark picture beside each light one that has one; furo's classes show one of them."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for light in list(self.document.findall(nodes.image)):
            uri = light["uri"]
            folder = Path(self.env.doc2path(self.env.current_document.docname)).parent
            if uri.endswith(_LIGHT) and (folder / uri.replace(_LIGHT, _DARK)).is_file():
                dark = light.deepcopy()
                dark["uri"] = uri.replace(_LIGHT, _DARK)
                light["classes"].append("only-light")
                dark["classes"].append("only-dark")
                light.parent.insert(light.parent.index(light) + 1, dark)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(BothThemes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
