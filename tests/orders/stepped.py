"""The stepped core, built once, and scenes played on it in a process of their own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@cache
def core() -> str:
    """The path of the core that build.py makes."""
    if not (ROOT / "src" / "fastpool" / "_core/core.pyx").exists():
        pytest.skip("the tests run without the checkout around them")
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if sys.platform != "linux" or shutil.which(compiler) is None:
        pytest.skip("the stepped core needs Linux and a C compiler")  # condition variables as glibc's, -include
    done = subprocess.run([sys.executable, str(HERE / "build.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()[-1]


def play(how: str, *scenes: str, fault: int = 0, patience: float = 280) -> list[dict[str, Any]]:
    """The output of program.py for each scene."""
    command = [sys.executable, str(HERE / "program.py"), core(), str(fault), how, *scenes]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def told(said: dict[str, Any]) -> str:
    """How to replay the failure."""
    failed = said["failed"]
    return (
        f"{said['scene']}, after {said['runs']} good runs: {failed['why']}\n"
        f"again: python tests/orders/program.py $(python tests/orders/build.py) 0 {failed['order']!r} {said['scene']}\n"
        f"{failed['story']}"
    )
