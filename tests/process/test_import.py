"""`import fastpool` is light: the imported modules are counted, not timed."""

from __future__ import annotations

import subprocess
import sys
import typing
from typing import Any

import pytest

import fastpool
from fastpool._config import Config

HEAVY = {
    "asyncio", "ast", "concurrent.futures", "contextlib", "dataclasses", "dis", "email", "enum", "gevent", "eventlet",
    "happybase", "inspect", "json", "logging", "pickle", "random", "re", "socket", "ssl", "subprocess", "thriftpy2",
    "threading", "tokenize", "traceback", "typing",
}  # fmt: skip
MOST = 72  # 68 on 3.11, 72 on 3.14
COUNT = """
import sys
sys.path[:] = sys.argv[1:]
before = set(sys.modules)
{program}
print(*sorted(set(sys.modules) - before))
"""


def imported_by(program: str) -> list[str]:
    """The modules that a program imports, beyond those of a bare interpreter."""
    command = [sys.executable, "-S", "-E", "-c", COUNT.format(program=program), *sys.path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_it_imports_few_modules_and_none_that_is_heavy() -> None:
    modules = imported_by("import fastpool")
    assert HEAVY.intersection(modules) == set()
    assert len(modules) <= MOST, modules


def test_the_life_of_a_pool_needs_none_of_those_that_are_slow_to_import() -> None:
    """So that a signal handler that uses another pool never meets one of them half imported."""
    program = """
import fastpool

def connect(timeout):
    return object()

with fastpool.Pool(connect, listeners=[{"connected": repr}], servers=None) as pool:
    pool.warm(1)
    with pool.connection():
        pool.stats(), pool.leases(), repr(pool)
"""
    modules = imported_by(program)
    needed = imported_by("import logging, threading")  # a pool has a logger, and threads have names
    assert HEAVY.intersection(modules) - set(needed) == set()


def test_the_counting_sees_what_is_imported() -> None:
    assert {"inspect", "random", "typing"} <= set(imported_by("import inspect, random, typing"))


@pytest.mark.parametrize(
    "what",
    [
        *(fastpool.Pool.__init__, fastpool.Pool.stats, fastpool.Pool.__enter__, fastpool.Driver.check),
        *(fastpool.Stats.__init__, fastpool.LeaseInfo.__init__, fastpool.Histogram, Config, Config.__init__),
    ],
    ids=lambda what: what.__qualname__,
)
def test_annotations_can_be_evaluated_although_typing_is_not_imported(what: Any) -> None:
    assert typing.get_type_hints(what)
