"""redis-py's own tests for pools, fetched from its source distribution and run on the drop-ins with a real Redis.

They need pytest-asyncio, which is installed beside them: in this project's environment it would change how every test
runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .sdist import CACHE, DOWNLOAD_WITHIN_S, Outcome, Sdist, run_suite

SUITE = Sdist("redis", "8.1.0", "6e1a19beef9225c83efd689c7e6b7da2d5215b1f42cd13b7fc3714d0a09c7b25")
PLUGIN = "pytest-asyncio==1.5.0"
SYNC = ("tests/test_connection_pool.py",)
ASYNC = ("tests/test_asyncio/test_connection_pool.py",)
HELPERS = (
    "tests/__init__.py",
    "tests/conftest.py",
    "tests/ssl_utils.py",
    "tests/test_pubsub.py",
    "tests/test_asyncio/__init__.py",
    "tests/test_asyncio/compat.py",
    "tests/test_asyncio/conftest.py",
    "tests/test_asyncio/test_pubsub.py",
)

REPLACED = '''\
"""Puts the drop-ins into every module of redis-py that has the pools."""

import os

import redis
import redis.asyncio
import redis.asyncio.client
import redis.asyncio.connection
import redis.client
import redis.cluster
import redis.connection

import fastpool.adapters.redis as ours

places = {
    ours: (redis, redis.client, redis.connection, redis.cluster),
    ours.asyncio: (redis.asyncio, redis.asyncio.client, redis.asyncio.connection),
}
for adapter, modules in places.items():
    for module in modules:
        for name in ("ConnectionPool", "BlockingConnectionPool"):
            if hasattr(module, name):
                setattr(module, name, getattr(adapter, name))
if os.environ["FAULT"]:
    ours.BlockingConnectionPool.get_connection = lambda pool, *args: None
'''

# Replaced in the files: what stands there, by what, and how often it does.
REPAIRS = {
    # Some tests give the host alone and so connect to Redis's own port, where nothing runs here.
    "tests/test_asyncio/test_connection_pool.py": (
        '{"host": master_host[0]}',
        '{"host": master_host[0], "port": master_host[1]}',
        5,
    ),
    # It makes everything slow, and no test of a pool looks at it.
    "tests/conftest.py": ("        tracemalloc.start()\n", "", 1),
}

INI = """\
[pytest]
addopts = -p no:cacheprovider -p replaced -W ignore
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
markers =
    fixed_client: of redis-py
    onlynoncluster: of redis-py
    onlycluster: of redis-py
    no_mock_connections: of redis-py
"""


def site() -> Path:
    """The folder that has pytest-asyncio; RuntimeError if it cannot be had."""
    folder = CACHE / PLUGIN
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as new:
            target = Path(new, "site")
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            try:
                subprocess.run(
                    [*command, "--target", str(target), PLUGIN],
                    check=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    timeout=DOWNLOAD_WITHIN_S,
                )
            except (subprocess.SubprocessError, OSError) as error:
                raise RuntimeError(f"redis-py's tests need {PLUGIN}, and pip could not install it: {error}") from error
            target.rename(folder)
    return folder


def run(folder: Path, files: tuple[str, ...], address: str, fault: str = "", without: Iterable[str] = ()) -> Outcome:
    """The outcome of these files of the suite with the Redis at ``address``.

    ``fault``: of broken pools. ``without``: names of tests that are not run.
    """
    left_out = " and ".join(f"not {name.partition('[')[0]}" for name in sorted(without))
    (folder / "tests" / "test_asyncio").mkdir(parents=True)
    texts = {name: SUITE.text(name) for name in (*files, *HELPERS)}
    for name, (old, new, times) in REPAIRS.items():
        if name in texts:
            if texts[name].count(old) != times:
                raise RuntimeError(f"{name} is not the one that this runner knows: {old!r} is not there {times} times")
            texts[name] = texts[name].replace(old, new)
    return run_suite(
        folder,
        {**texts, "replaced.py": REPLACED, "pytest.ini": INI},
        (),
        0,
        {"FAULT": fault},
        within_s=240,
        suite=(*files, f"--redis-url=redis://{address}/0", "-k", left_out),
        places=(str(folder), str(site())),
    )
