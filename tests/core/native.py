"""The test-only native modules, built when they are missing or older than their sources."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tools.native import KINDS

ROOT = Path(__file__).resolve().parent.parent.parent


def _build(*arguments: str) -> Path:
    if not (ROOT / "tools" / "native.py").exists() or not (ROOT / "src").is_dir():
        pytest.skip("the tests run without the checkout around them", allow_module_level=True)
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if sys.platform != "win32" and shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler} to build the parts of the core with", allow_module_level=True)
    command = [sys.executable, str(ROOT / "tools" / "native.py"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"
    return Path(done.stdout.split()[-1])


def load(name: str, source: str) -> Any:
    """The extension module `name`, from a .pyx file given from the root of the checkout."""
    if name in sys.modules:
        return sys.modules[name]
    loader = ExtensionFileLoader(name, str(_build(source)))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module: ModuleType = module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module
    return module


def program(kind: str, source: str, src: Path = ROOT / "src") -> Path:
    """The program made of a .pyx file: plain, thread (ThreadSanitizer) or address (AddressSanitizer, UBSan).

    `src`: the folder with the parts of the core. Skips where the compiler has no such sanitizer.
    """
    if sys.platform == "win32":
        pytest.skip("the program runs on POSIX threads")
    why = _cannot(kind)
    if why:
        pytest.skip(f"the compiler makes no {kind} program that runs here: {why}")
    return _build("--program", kind, "--src", str(src), source)


@cache
def _cannot(kind: str) -> str:
    """The error of the compiler, or of a minimal program, for this kind of build; empty if it works."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "empty")
        command = [*compiler, *KINDS[kind], "-x", "c", "-", "-o", made]
        for step, text in (command, "int main(void) { return 0; }"), ([made], ""):
            try:
                done = subprocess.run(step, input=text, capture_output=True, text=True, check=False)
            except OSError as error:
                return str(error)
            if done.returncode:
                return (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
    return ""


def probe() -> Any:
    """tests/_probe.pyx, which drives the C parts of the core alone."""
    return load("_probe", "tests/_probe.pyx")
