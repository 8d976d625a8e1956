"""The private structures of other projects that the core uses: each is in use where it should be, and has a
fallback."""

from __future__ import annotations

import importlib.util
import re
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.process._scripts import ROOT, run

PROGRAM = Path(__file__).with_name("_compat_program.py")
MODELS = ["threads", "greenlets", "gevent", "eventlet", "tasks", "tasks of an AsyncPool"]
MATTERS_TO = {
    "stack chunk": ["greenlets", "gevent", "eventlet"],
    "context": ["tasks"],
    "greenlet's table": ["greenlets", "gevent", "eventlet"],
    "loop's note": ["tasks", "tasks of an AsyncPool"],
    "loop's functions": ["tasks", "tasks of an AsyncPool"],
    "table of tasks": ["tasks", "tasks of an AsyncPool"],
    "mark of futures": ["tasks", "tasks of an AsyncPool"],
    "main thread": ["threads", "greenlets"],
    "gevent's hub": ["gevent"],
    "eventlet's hub": ["eventlet"],
    "eventlet's end": ["eventlet"],
    "start of threads": ["threads"],
    "table of threads": ["threads"],
    "bare methods": ["threads"],
    "immortal objects": ["threads", "tasks"],
}
CORES_OWN = {  # whether each is used, once everything has been imported
    "stack chunk": sys.version_info < (3, 15),
    "context": sys.version_info < (3, 15),
    "greenlet's table": True,
    "loop's note": sys.version_info < (3, 13),
    "loop's functions": True,
    "table of tasks": True,
    "mark of futures": True,
    "main thread": True,
    "immortal objects": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}


def tried(model: str, *names: str) -> set[str]:
    """Run the scenario of a model without these structures; the names of those that were in use."""
    for library, models in {"greenlet": ["greenlets"], "gevent": ["gevent"], "eventlet": ["eventlet"]}.items():
        if model in models and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    said = run(f"exec(compile(open({str(PROGRAM)!r}).read(), {str(PROGRAM)!r}, 'exec'))", model, *names)
    assert said.startswith("well, with "), said
    return set(said.removeprefix("well, with ").strip().split(", ")) - {""}


@pytest.mark.parametrize(("name", "model"), [(name, model) for name in MATTERS_TO for model in MATTERS_TO[name]])
def test_it_is_done_without(name: str, model: str) -> None:
    assert name not in tried(model, name)


@pytest.mark.parametrize("model", MODELS)
def test_all_of_them_are_done_without(model: str) -> None:
    assert tried(model, *MATTERS_TO) == set()


def test_what_is_used_on_this_version() -> None:
    used = tried("gevent")
    assert {name: name in used for name in CORES_OWN} == CORES_OWN
    assert "gevent's hub" in used


def test_the_page_has_each_of_them() -> None:
    page = ROOT / "docs" / "compat.md"
    if not page.exists():
        pytest.skip("the tests run without the checkout around them")
    named = re.findall(r"^## .*\(`([^`]+)`\)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert named == list(MATTERS_TO)
