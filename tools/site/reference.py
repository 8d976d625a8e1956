"""How the reference shows what it reads from the code, and the parts of it that are listed here and not by hand.

A comment of a page is replaced by what it names, so that a new adapter or command needs no line anywhere:

    <!-- every module of PACKAGE -->      a section for each public module of the package, with its public names
    <!-- every command of fastpool -->    a section for each command, with its help
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_MODULES = re.compile(r"^<!-- every module of ([\w.]+) -->$", re.MULTILINE)
_COMMANDS = re.compile(r"^<!-- every command of fastpool -->$", re.MULTILINE)
_HELP_WIDTH = 100


def modules_of(package: str) -> list[str]:
    """The public modules of a package, by their full names."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")
    return sorted(one.name for one in found if not one.name.rpartition(".")[2].startswith("_"))


def module_section(name: str) -> str:
    """A section for a module; of one whose library is not installed it says only that."""
    heading = f"## {name}\n\n"
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("fastpool"):
            raise
        return f"{heading}It needs {error.name}, which was not installed where this page was made.\n"
    directive = f".. automodule:: {name}\n   :members:\n   :imported-members:\n"
    return f"{heading}```{{eval-rst}}\n{directive}```\n"


def commands() -> str:
    """A section for each command of the command line."""
    import click

    from fastpool._cli.commands import cli

    parts = []
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, info_name=f"fastpool {name}", max_content_width=_HELP_WIDTH)
        context.terminal_width = _HELP_WIDTH
        parts.append(f"## fastpool {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _read(app: Sphinx, page: str, content: list[str]) -> None:
    text = _MODULES.sub(lambda found: "\n".join(map(module_section, modules_of(found[1]))), content[0])
    content[0] = _COMMANDS.sub(lambda _: commands(), text)


def _signature(
    app: Sphinx, what: str, name: str, thing: object, options: Any, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """A default that only says "not given" is written as in the pages: ``timeout=…``."""
    return arguments and arguments.replace("=Ellipsis", "=…"), returns


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _read)
    app.connect("autodoc-process-signature", _signature)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
