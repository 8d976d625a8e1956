"""happybase's own test suite, fetched from its source distribution and run as it is, but for a few repairs.

The copy in the 1.3.0 sdist uses ``assert_raises`` without importing it, takes the port as text, cannot be told the
protocol, and does not notice what fails inside its threads. Each repair is a replacement that must fit exactly once,
so that another copy is refused instead of half repaired. The suite runs in a pytest of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

REQUIREMENT = "happybase==1.3.0"
SDIST = "happybase-1.3.0.tar.gz"
SHA256 = "43b6275d2865fc1364680a03f085491cd85d8b84db3c5aa94d25186685dfd87e"
MEMBER = "happybase-1.3.0/tests/test_api.py"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "upstream"
TESTS = 25
POOL_TESTS = ("test_connection_pool", "test_connection_pool_construction", "test_pool_exhaustion")
DOWNLOAD_WITHIN_S = 240

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


@dataclass
class Outcome:
    """What a run of the suite came to: names of tests, and the text that pytest wrote."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    output: str = ""


def fetch() -> str:
    """Give the text of the suite, from the cache in the checkout or from the package index.

    RuntimeError says what to do if it cannot be had.
    """
    archive = CACHE / SDIST
    if not archive.exists():
        _download(archive)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != SHA256:
        raise RuntimeError(
            f"{archive.relative_to(CACHE.parents[1])} is not the source distribution that this runner knows (SHA-256 "
            f"{digest} instead of {SHA256}): delete it, and it is fetched again"
        )
    with tarfile.open(archive) as sdist:
        member = sdist.extractfile(MEMBER)
        assert member is not None
        return member.read().decode()


def _download(archive: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        try:
            subprocess.run(
                [*command, "--no-binary", "happybase", "--dest", folder, REQUIREMENT],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DOWNLOAD_WITHIN_S,
            )
            os.replace(Path(folder) / SDIST, archive)
        except (subprocess.SubprocessError, OSError) as error:
            raise RuntimeError(
                f"happybase's own tests come from its source distribution, and pip could not download {REQUIREMENT} "
                f"({error}). Give this machine access to a package index (pip's configuration decides which), or put "
                f"{SDIST} into .cache/upstream/ of the checkout.\n{getattr(error, 'output', None) or ''}"
            ) from error


def repair(text: str, pool: str) -> str:
    """Give the suite with its repairs, its pool imported from the module ``pool``."""
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

    ``pool`` is the module whose ConnectionPool it tests: happybase, fastpool, or one that lies in ``folder``.

    ``pool_tests`` > 0 runs only the tests of the pool, so many times in a row.
    """
    (folder / "test_api.py").write_text(repair(fetch(), pool), "utf-8")
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "pytest.ini").write_text(PYTEST_INI, "utf-8")
    report = folder / "report.xml"
    tests = [f"test_api.py::{name}" for name in POOL_TESTS] if pool_tests else ["test_api.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *tests],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTEST_ADDOPTS": "",
            "HAPPYBASE_HOST": host,
            "HAPPYBASE_PORT": str(port),
            "HAPPYBASE_COMPAT": compat,
            "HAPPYBASE_TRANSPORT": transport,
            "HAPPYBASE_PROTOCOL": protocol,
            "UPSTREAM_REPEAT": str(pool_tests or 1),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within_s,
    )
    outcome = Outcome(output=done.stdout)
    if not report.exists():
        raise RuntimeError(f"happybase's suite did not run; pytest ended with code {done.returncode}:\n{done.stdout}")
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        among = outcome.skipped if "skipped" in kinds else outcome.passed
        (outcome.failed if kinds & {"failure", "error"} else among).append(case.get("name", ""))
    return outcome
