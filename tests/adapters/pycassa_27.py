"""pycassa 1.11.2 under Python 2.7, where both can be had: the original that the adapter is compared with."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "pycassa-1.11.2"
INSTALL_WITHIN_S = 50


class Missing(Exception):
    """Python 2.7 or pycassa is not to be had; the message says which and why."""


@functools.cache
def python() -> str:
    """A Python 2.7 that has pip: on the PATH, or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [shutil.which("python2.7"), *sorted(map(str, pyenv.glob("versions/2.7*/bin/python2.7")))]
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return candidate
    raise Missing("no Python 2.7 with pip, on the PATH or under pyenv")


@functools.cache
def environment() -> dict[str, str]:
    """The environment in which Python 2.7 finds pycassa, which pip brings the first time."""
    if not CACHE.is_dir():
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE.parent) as scratch:
            command = [python(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
            try:
                done = subprocess.run(
                    [*command, f"{scratch}/site", "pycassa==1.11.2"],
                    capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise Missing(f"pip did not bring pycassa 1.11.2 within {INSTALL_WITHIN_S} s") from None
            if done.returncode:
                raise Missing(f"pip cannot bring pycassa 1.11.2: {done.stderr.strip()[-300:]}")
            Path(scratch, "site").rename(CACHE)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**clean, "PYTHONPATH": str(CACHE), "PYTHONDONTWRITEBYTECODE": "1"}


def run(*command: str, seconds: float = 50) -> str:
    """The output of a program under Python 2.7 with pycassa; raises Missing, or AssertionError if it fails."""
    done = subprocess.run(
        [python(), *command], env=environment(), capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
