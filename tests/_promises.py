"""The register of promises, and the tables of the documents that are generated from it: ``python -m
tests._promises``."""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
REGISTER: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "promises.yaml").read_text(encoding="utf-8"))
WHERE = "what works where"
# library: the version whose behaviour was compared
REPLACED = {"happybase": "1.3.0", "aiohappybase": "1.4.0", "pycassa": "1.11.2"}

OURS = ("fastpool", "fastpool.aio", "adapter")  # what the column of ours is called


def statements() -> list[tuple[str, list[str]]]:
    """Every statement of the register, with the tests that show it."""
    found: list[tuple[str, list[str]]] = []
    for chapter, entries in REGISTER.items():
        if chapter == WHERE:
            found += [(f"{where}: {what}", tests) for where, works in entries.items() for what, tests in works.items()]
        elif isinstance(entries, list):
            found += [(f"{chapter}: {_ours(entry)}", entry["tests"]) for entry in entries]
        else:
            found += entries.items()
    return found


def tables() -> dict[tuple[str, str], str]:
    """(document, name of the place in it) -> the table that belongs there."""
    works = [(where, what, _shown(tests)) for where, those in REGISTER[WHERE].items() for what, tests in those.items()]
    return {
        ("docs/concurrency.md", "concurrency"): _markdown([("where", "what works", "shown by"), *works]),
        ("README.md", "happybase"): _markdown([row[:-1] for row in _differences("happybase")]),
        ("docs/aiohappybase.md", "aiohappybase"): _markdown(_differences("aiohappybase")),
        ("docs/pycassa.md", "pycassa"): _markdown(_differences("pycassa")),
    }


def filled(document: str, name: str, table: str) -> str:
    """The document with the table in its place."""
    begin, end = f"<!-- promises: {name} -->", "<!-- end -->"
    text = (ROOT / document).read_text(encoding="utf-8")
    after, places = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{table}\n\n{end}", text, flags=re.DOTALL
    )
    assert places == 1, f"{document} must have one place between {begin!r} and {end!r}, but has {places}"
    return after


def _differences(library: str) -> list[tuple[str, ...]]:
    entries = REGISTER[f"differences from {library}"]
    head = ("", f"{library} {REPLACED[library]}", next(name for name in OURS if name in entries[0]), "shown by")
    rows = zip(string.ascii_lowercase, entries, strict=False)
    return [head, *((letter, one[library], _ours(one), _shown(one["tests"])) for letter, one in rows)]


def _ours(entry: dict[str, Any]) -> str:
    return str(next(entry[name] for name in OURS if name in entry))


def _shown(tests: list[str]) -> str:
    return ", ".join(f"`tests/{test}`" for test in tests)


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


if __name__ == "__main__":
    for (document, name), table in tables().items():
        (ROOT / document).write_text(filled(document, name, table), encoding="utf-8")
