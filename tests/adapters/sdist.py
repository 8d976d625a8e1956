"""Other libraries' own test suites: fetched as source distributions and run in a separate pytest."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "upstream"
DOWNLOAD_WITHIN_S = 240

# pip runs the setup.py of what it downloads, and one from 2021 uses parts of configparser that Python 3.12 removed.
AS_IN_2021 = """\
import configparser

configparser.SafeConfigParser = configparser.ConfigParser
configparser.RawConfigParser.readfp = configparser.RawConfigParser.read_file
"""


@dataclass
class Outcome:
    """The result of a run of the suite: names of tests, and pytest's output."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    output: str = ""


@dataclass(frozen=True)
class Sdist:
    """The one version of a library whose test suite is supported here."""

    library: str
    version: str
    sha256: str
    of_2021: bool = False

    @property
    def file(self) -> str:
        return f"{self.library}-{self.version}.tar.gz"

    def text(self, member: str) -> str:
        """The text of one file of the sdist, from the cache in the checkout or from the package index.

        RuntimeError says what to do if it is unavailable.
        """
        archive = CACHE / self.file
        if not archive.exists():
            self._download(archive)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise RuntimeError(
                f"{archive.relative_to(CACHE.parents[1])} is not the source distribution that this runner knows "
                f"(SHA-256 {digest} instead of {self.sha256}): delete it, and it is fetched again"
            )
        with tarfile.open(archive) as sdist:
            found = sdist.extractfile(f"{self.library}-{self.version}/{member}")
            assert found is not None
            return found.read().decode()

    def _download(self, archive: Path) -> None:
        requirement = f"{self.library}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            environment = dict(os.environ)
            if self.of_2021:
                Path(folder, "sitecustomize.py").write_text(AS_IN_2021, "utf-8")
                environment["PYTHONPATH"] = folder
                command.append("--no-build-isolation")
            try:
                subprocess.run(
                    [*command, "--no-binary", self.library, "--dest", folder, requirement],
                    check=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env=environment,
                    timeout=DOWNLOAD_WITHIN_S,
                )
                os.replace(Path(folder) / self.file, archive)
            except (subprocess.SubprocessError, OSError) as error:
                raise RuntimeError(
                    f"{self.library}'s own tests come from its source distribution, and pip could not download "
                    f"{requirement} ({error}). Give this machine access to a package index (pip's configuration "
                    f"decides which), or put {self.file} into .cache/upstream/ of the checkout.\n"
                    f"{getattr(error, 'output', None) or ''}"
                ) from error


def run_suite(
    folder: Path,
    files: Mapping[str, str],
    pool_tests: Sequence[str],
    turns: int,
    environment: Mapping[str, str],
    within_s: float,
    suite: Sequence[str] = ("test_api.py",),
    places: Sequence[str] = (),
) -> Outcome:
    """Run a suite of these ``files`` in ``folder`` with a pytest that ignores this project's configuration.

    ``turns`` > 0 runs only ``pool_tests`` of test_api.py, that many times in a row; otherwise all of ``suite``.
    ``places``: folders from which it can import, too.
    """
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    tests = [f"test_api.py::{name}" for name in pool_tests] if turns else [*suite]
    report = folder / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *tests],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*places, *(path for path in sys.path if path)]),
            "PYTEST_ADDOPTS": "",
            "UPSTREAM_REPEAT": str(turns or 1),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within_s,
    )
    outcome = Outcome(output=done.stdout)
    if not report.exists():
        raise RuntimeError(f"the suite did not run; pytest ended with code {done.returncode}:\n{done.stdout}")
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        among = outcome.skipped if "skipped" in kinds else outcome.passed
        (outcome.failed if kinds & {"failure", "error"} else among).append(case.get("name", ""))
    return outcome
