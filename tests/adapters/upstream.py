"""happybase's own test suite, fetched from its source distribution and run with a few repairs.

The copy in the 1.3.0 sdist uses ``assert_raises`` without importing it, takes the port as text, has no setting for the
protocol, and does not notice failures inside its threads. Each repair must match exactly once, so that a different copy
is refused instead of partly repaired. The suite runs in a pytest of its own.
"""

from __future__ import annotations

from pathlib import Path

from .sdist import Outcome, Sdist, run_suite

SUITE = Sdist("happybase", "1.3.0", "43b6275d2865fc1364680a03f085491cd85d8b84db3c5aa94d25186685dfd87e")
TESTS = 25
POOL_TESTS = ("test_connection_pool", "test_connection_pool_construction", "test_pool_exhaustion")

REPAIRS = {
    "from happybase import Connection, ConnectionPool, NoConnectionsAvailable\n": (
        "from happybase import Connection, NoConnectionsAvailable\n"
        "from {pool} import ConnectionPool\n"
        "from pytest import raises as assert_raises\n"
    ),
    "HAPPYBASE_PORT = os.environ.get('HAPPYBASE_PORT')\n": "HAPPYBASE_PORT = int(os.environ['HAPPYBASE_PORT'])\n",
    "    transport=HAPPYBASE_TRANSPORT,\n": (
        "    transport=HAPPYBASE_TRANSPORT,\n    protocol=os.environ['HAPPYBASE_PROTOCOL'],\n"
    ),
}

CONFTEST = '''\
"""Collects what fails inside threads, and repeats the tests of the pool."""

import os
import threading

import pytest

REPEAT = int(os.environ["UPSTREAM_REPEAT"])


def pytest_generate_tests(metafunc):
    if REPEAT > 1:
        metafunc.fixturenames.append("turn")
        metafunc.parametrize("turn", range(REPEAT))


@pytest.fixture(autouse=True)
def threads_fail_loudly(monkeypatch):
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    yield
    if failures:
        raise failures[0].exc_value
'''

PYTEST_INI = "[pytest]\naddopts = -p no:cacheprovider -p no:threadexception --import-mode=prepend\n"


def fetch() -> str:
    """The text of the suite; RuntimeError says what to do if it is unavailable."""
    return SUITE.text("tests/test_api.py")


def repair(text: str, pool: str) -> str:
    """The suite with its repairs, its pool imported from the module ``pool``."""
    for old, new in REPAIRS.items():
        if text.count(old) != 1:
            raise RuntimeError(f"happybase's test_api.py is not the one that this runner knows: no single {old!r}")
        text = text.replace(old, new.format(pool=pool))
    return text


def run(
    folder: Path,
    host: str,
    port: int,
    *,
    pool: str = "happybase",
    protocol: str = "binary",
    transport: str = "buffered",
    compat: str = "0.98",
    pool_tests: int = 0,
    within_s: float = 300,
) -> Outcome:
    """Run the suite in ``folder`` against the server at this address.

    ``pool`` is the module whose ConnectionPool it tests: happybase, fastpool, or a module in ``folder``. ``pool_tests``
    > 0 runs only the tests of the pool, that many times in a row.
    """
    files = {"test_api.py": repair(fetch(), pool), "conftest.py": CONFTEST, "pytest.ini": PYTEST_INI}
    environment = {
        "HAPPYBASE_HOST": host,
        "HAPPYBASE_PORT": str(port),
        "HAPPYBASE_COMPAT": compat,
        "HAPPYBASE_TRANSPORT": transport,
        "HAPPYBASE_PROTOCOL": protocol,
    }
    return run_suite(folder, files, POOL_TESTS, pool_tests, environment, within_s)
