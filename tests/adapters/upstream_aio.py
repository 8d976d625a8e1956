"""aiohappybase's own test suite, fetched from its source distribution and run unchanged.

It was written for the pytest-asyncio of 2021, and its plain tests expect that an event loop exists already; a
conftest.py provides both. The suite's own conftest.py becomes a plugin beside it.
"""

from __future__ import annotations

from pathlib import Path

from .sdist import Outcome, Sdist, run_suite

SUITE = Sdist("aiohappybase", "1.4.0", "9970941982252edc3d65bcd9c97d67d6280f872527138842d9c4883f1ff753a8", of_2021=True)
TESTS = 42
POOL_TESTS = (
    "TestAPI::test_connection_pool_construction",
    "TestAPI::test_connection_pool",
    "TestAPI::test_pool_exhaustion",
    "TestAPI::test_pool_no_close_warning",
    "TestSyncInAsync::test_sync_pool_context",
    "TestSyncInAsync::test_sync_pool_context_while_running",
)

CONFTEST = '''\
"""Runs each test, with its fixtures, in an event loop of its own, and repeats the tests of the pool."""

import asyncio
import importlib
import inspect
import os

import pytest

import fastpool.adapters.aiohappybase.idl
import aiohappybase

pytest_plugins = ["theirs"]

aiohappybase.ConnectionPool = importlib.import_module(os.environ["UPSTREAM_POOL"]).ConnectionPool

REPEAT = int(os.environ["UPSTREAM_REPEAT"])
loop = None


def pytest_generate_tests(metafunc):
    if REPEAT > 1:
        metafunc.fixturenames.append("turn")
        metafunc.parametrize("turn", range(REPEAT))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    global loop
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        asyncio.set_event_loop(loop)
        try:
            return (yield)
        finally:
            asyncio.set_event_loop(None)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef, request):
    function = fixturedef.func
    if inspect.isasyncgenfunction(function):
        def in_loop(*args, **kwargs):
            steps = function(*args, **kwargs)
            yield loop.run_until_complete(anext(steps))
            loop.run_until_complete(anext(steps, None))
        fixturedef.func = in_loop


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        wanted = pyfuncitem._fixtureinfo.argnames
        loop.run_until_complete(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
        return True
'''

PYTEST_INI = "[pytest]\naddopts = -p no:cacheprovider -p no:asyncio -p no:anyio --import-mode=prepend\n"


def run(
    folder: Path,
    host: str,
    port: int,
    *,
    pool: str = "aiohappybase",
    protocol: str = "binary",
    transport: str = "buffered",
    pool_tests: int = 0,
    within_s: float = 300,
) -> Outcome:
    """Run the suite in ``folder`` against the server at this address.

    ``pool`` is the module whose ConnectionPool it tests: aiohappybase, fastpool.aio, or a module in ``folder``.
    ``pool_tests`` > 0 runs only the tests of the pool, that many times in a row.
    """
    files = {
        "test_api.py": SUITE.text("tests/test_api.py"),
        "theirs.py": SUITE.text("tests/conftest.py"),
        "conftest.py": CONFTEST,
        "pytest.ini": PYTEST_INI,
    }
    environment = {
        "AIOHAPPYBASE_HOST": host,
        "AIOHAPPYBASE_PORT": str(port),
        "AIOHAPPYBASE_TRANSPORT": transport,
        "AIOHAPPYBASE_PROTOCOL": protocol,
        "UPSTREAM_POOL": pool,
    }
    return run_suite(folder, files, POOL_TESTS, pool_tests, environment, within_s)
