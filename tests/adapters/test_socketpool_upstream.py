"""socketpool's own tests pass with the drop-in under socketpool's name; nothing in them is changed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from .sdist import Outcome, Sdist, run_suite

SUITE = Sdist("socketpool", "0.5.3", "a06733434a56c4b60b8fcaa168102d2386253d36425804d55532a6bbbda6e2ec")
FILES = ("test_backend_finding.py", "test_pool_01.py")
TESTS = [
    "test_default_backend",
    "test_eventlet_backend",
    "test_gevent_backend",
    "test_size_on_isconnected_failure",
    "test_thread_backend",
    "test_thread_backend_as_module",
]

CONFTEST = '''\
"""Gives the drop-in under socketpool's name, and what later Pythons dropped."""

import importlib
import os
import sys
import unittest

ADAPTER = "fastpool.adapters.socketpool"
for part in ("", ".pool", ".conn", ".util", ".backend_thread"):
    module = sys.modules["socketpool" + part] = importlib.import_module(ADAPTER + part)
    module.__name__ = "socketpool" + part
for name in ("gevent", "eventlet"):  # in their own names, for load_backend
    importlib.import_module(f"{ADAPTER}.backend_{name}")

unittest.TestCase.assert_ = unittest.TestCase.assertTrue  # gone since 3.12

if os.environ["FAULT"]:
    sys.modules["socketpool.pool"].ConnectionPool.get = lambda pool: None
'''


def run(folder: Path, fault: str = "") -> Outcome:
    for library in ("gevent", "eventlet"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    try:
        files = {name: SUITE.text(f"tests/{name}") for name in FILES}
    except RuntimeError as error:
        pytest.skip(str(error))
    files |= {"conftest.py": CONFTEST, "pytest.ini": "[pytest]\naddopts = -p no:cacheprovider\n"}
    return run_suite(folder, files, (), 0, {"FAULT": fault}, within_s=60, suite=FILES)


@pytest.mark.timeout(300)
def test_whole_suite_passes(tmp_path: Path) -> None:
    outcome = run(tmp_path)
    assert (sorted(outcome.passed), outcome.failed, outcome.skipped) == (TESTS, [], []), outcome.output


@pytest.mark.timeout(300)
def test_a_fault_is_noticed(tmp_path: Path) -> None:
    """The runner's own promise."""
    assert run(tmp_path, "get").failed == ["test_size_on_isconnected_failure"]
