"""Runs a program in a Python of its own, with a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run(program: str, *args: str, seconds: float = 40.0, code: int = 0, unset: Sequence[str] = ()) -> str:
    """Run ``program`` with warnings on; its standard output. AssertionError if it hangs or ends with another code.

    ``unset``: environment variables to remove. The program and all its children are one process group, and the whole
    group is killed at the time limit.
    """
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**environment, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])},
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGABRT)
        out, err = process.communicate()
        raise AssertionError(f"still running after {seconds} s\n{out}\n{err}") from None
    assert process.returncode == code, f"ended with {process.returncode}\n{out}\n{err}"
    return out


def run_case(cases: Path, *args: str, seconds: float = 40.0) -> None:
    """Run the case that ``args`` select of a program of cases: it must print "well"."""
    program = f"exec(compile(open({str(cases)!r}).read(), {str(cases)!r}, 'exec'))"
    said = run(program, *args, seconds=seconds)
    assert said.strip() == "well", said
