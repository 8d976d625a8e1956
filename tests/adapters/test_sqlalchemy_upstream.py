"""SQLAlchemy's own tests of pools pass with FastPool under QueuePool's name, but for what looks inside QueuePool."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from .sdist import Outcome, Sdist, run_suite

SUITES = {
    "2.0": Sdist("sqlalchemy", "2.0.58", "2acdcec9836b7c1514a9ad426e7731669a1186d96481a2e82c50bf2aebb49061"),
    "2.1": Sdist("sqlalchemy", "2.1.9", "d700a8b2edfb26282a470333d6bc4a454c4acda4d201a3bea7b72fa76c217d28"),
}
SUITE = "test/engine/test_pool.py"
# The tests that read QueuePool's own queue: ``[c for c in pool._pool.queue if …]``. A FastPool has no list of its idle
# records. What they test after that, `connect` and `checkout` told for recycled records, is in test_sqlalchemy_life.py.
WHITE_BOX = ["test_connect_checkout_handler_always_gets_info", "test_connect_handler_not_called_for_recycled"]

CONFTEST = '''\
"""Loads SQLAlchemy's own plugin for pytest, then puts fastpool's classes in the places of SQLAlchemy's."""

import importlib.util
import os

import pytest

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")
[package] = importlib.util.find_spec("sqlalchemy").submodule_search_locations
bootstrap_file = os.path.join(package, "testing", "plugin", "bootstrap.py")
to_bootstrap = "pytest"
with open(bootstrap_file) as f:
    exec(compile(f.read(), "bootstrap.py", "exec"))
from sqla_pytestplugin import *

import sqlalchemy.pool
from fastpool.adapters.sqlalchemy import AsyncFastPool, FastPool

sqlalchemy.pool.QueuePool = FastPool
sqlalchemy.pool.AsyncAdaptedQueuePool = AsyncFastPool
if os.environ["FAULT"]:
    FastPool.checkedin = lambda pool: 0
'''
SETUP_CFG = """\
[sqla_testing]
requirement_cls = test.requirements:DefaultRequirements
profile_file = test/profiles.txt
[db]
default = sqlite:///:memory:
sqlite = sqlite:///:memory:
"""
PYTEST_INI = "[pytest]\naddopts = -p no:cacheprovider\n"


def run(folder: Path, *which: str, fault: str = "") -> Outcome:
    installed = importlib.metadata.version("SQLAlchemy")
    suite = SUITES.get(".".join(installed.split(".")[:2]))
    if suite is None:
        pytest.skip(f"SQLAlchemy {installed} is installed, and this runner knows the tests of {', '.join(SUITES)}")
    try:
        files = {name: suite.text(name) for name in (SUITE, "test/requirements.py")}
    except RuntimeError as error:
        pytest.skip(str(error))
    (folder / "test" / "engine").mkdir(parents=True)
    files |= {"test/__init__.py": "", "test/engine/__init__.py": ""}
    files |= {"conftest.py": CONFTEST, "setup.cfg": SETUP_CFG, "pytest.ini": PYTEST_INI}
    return run_suite(folder, files, (), 0, {"FAULT": fault}, within_s=240, suite=(SUITE, *which))


def passes_but_for(outcome: Outcome, allowed: list[str], at_least: int) -> None:
    assert sorted(outcome.failed) == allowed, outcome.output
    assert len(outcome.passed) >= at_least, outcome.output


@pytest.mark.timeout(300)
def test_the_suite_passes_without_the_tests_that_sleep(tmp_path: Path) -> None:
    passes_but_for(run(tmp_path, "-m", "not timing_intensive"), [], 130)


@pytest.mark.stress
@pytest.mark.timeout(300)
def test_whole_suite_passes(tmp_path: Path) -> None:
    passes_but_for(run(tmp_path), WHITE_BOX, 143)


@pytest.mark.stress
@pytest.mark.timeout(300)
def test_a_fault_is_noticed(tmp_path: Path) -> None:
    """The runner's own promise."""
    outcome = run(tmp_path, "-k", "test_queuepool_close or test_no_double_checkin", fault="checkedin")
    assert (outcome.failed, outcome.passed) == (["test_queuepool_close"], ["test_no_double_checkin"])
