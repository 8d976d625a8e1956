"""How the reference shows what it reads from the code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def _signature(
    app: Sphinx, what: str, name: str, thing: object, options: Any, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A default that only says "not given" is written as in the pages: ``timeout=…``."""
    return arguments and arguments.replace("=Ellipsis", "=…"), returns


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-signature", _signature)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
