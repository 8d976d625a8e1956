"""DBUtils' own tests pass with the drop-in's classes in place of DBUtils'; nothing in them is changed."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from .sdist import Outcome, Sdist, run_suite

pytest.importorskip("dbutils")

SUITE = Sdist("dbutils", "3.2.0", "dfe3f5eb6e383042d68ad07e4e9778b2abbcc4627a283f85efc8210319c075d2")
TESTS = 111
FILES = ("__init__.py", "conftest.py", "mock_db.py", "mock_pg.py", "test_pooled_db.py", "test_steady_db.py")

# What cannot pass, and why.
WHITE_BOX = {
    "test_close_all_shared_when_pool_is_deleted[2]": (
        "expects the idle connections of a pool that is dropped to be closed in the order in which they became idle; "
        "here all are closed, in the order of their slots"
    ),
}
if sysconfig.get_config_var("Py_GIL_DISABLED"):  # a pool that is dropped is not freed there (decision 16)
    WHITE_BOX |= dict.fromkeys(
        ("test_close_all_when_pool_is_deleted", "test_close_all_shared_when_pool_is_deleted[1]"),
        "expects the connections of a pool that is dropped to be closed at once",
    )
STEADY_TESTS = 92
STEADY_WHITE_BOX = {
    "test_begin_transaction": (
        "executes a statement on a cursor after its close(), which does nothing in DBUtils once a cursor was replaced"
    ),
}

CONFTEST = '''\
"""Gives the drop-in's classes under DBUtils' names, and slow machines more time than the tests do."""

import os
import queue
import threading

import dbutils.pooled_db
import dbutils.steady_db
import fastpool.adapters.dbutils as ours

for module in (dbutils.pooled_db, dbutils.steady_db):
    for name in module.__all__:
        setattr(module, name, getattr(ours, name))

join, get = threading.Thread.join, queue.Queue.get
threading.Thread.join = lambda thread, timeout=None: join(thread, timeout and max(timeout, 1))
queue.Queue.get = lambda self, block=True, timeout=None: get(self, block, 20 if timeout == 1 else timeout)

if os.environ["FAULT"]:
    ours.SteadyDBConnection.begin = lambda con: None
'''


def run(folder: Path, *tests: str, fault: str = "") -> Outcome:
    try:
        files = {f"suite/{name}": SUITE.text(f"tests/{name}") for name in FILES}
    except RuntimeError as error:
        pytest.skip(str(error))
    files |= {"conftest.py": CONFTEST, "pytest.ini": "[pytest]\naddopts = -p no:cacheprovider\n"}
    (folder / "suite").mkdir()
    suite = [f"suite/{test}" for test in tests]
    return run_suite(folder, files, (), 0, {"FAULT": fault}, within_s=240, suite=suite)


@pytest.mark.timeout(300)
def test_whole_suite_passes(tmp_path: Path) -> None:
    outcome = run(tmp_path, "test_pooled_db.py")
    assert (sorted(outcome.failed), outcome.skipped) == (sorted(WHITE_BOX), []), outcome.output
    assert len(outcome.passed) == TESTS - len(WHITE_BOX)


@pytest.mark.drivers
@pytest.mark.timeout(300)
def test_whole_suite_of_steady_connections_passes(tmp_path: Path) -> None:
    outcome = run(tmp_path, "test_steady_db.py")
    assert (outcome.failed, outcome.skipped) == (list(STEADY_WHITE_BOX), []), outcome.output
    assert len(outcome.passed) == STEADY_TESTS - len(STEADY_WHITE_BOX)


@pytest.mark.drivers
@pytest.mark.timeout(300)
def test_a_fault_is_noticed(tmp_path: Path) -> None:
    """The runner's own promise."""
    tests = ["test_shared_in_transaction", "test_shared_in_transaction_with_two_connections"]
    assert run(tmp_path, *(f"test_pooled_db.py::{test}" for test in tests), fault="begin").failed == tests
