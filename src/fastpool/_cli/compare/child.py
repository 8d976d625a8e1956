"""Measurements in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def output_of(module: str, *args: str, within_s: float) -> str:
    """The output of ``python -m module args``; RuntimeError, with its errors as a note, if it fails."""
    root = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, *args],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    if done.returncode:
        errors = done.stderr.strip().splitlines() or ["no error was printed"]
        failure = RuntimeError(f"the process that measures ended with {done.returncode}: {errors[-1]}")
        failure.add_note("\n".join(errors))
        raise failure
    return done.stdout
