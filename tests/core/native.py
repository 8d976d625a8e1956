"""The test-only native modules, built when they are missing or older than what they are made of."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


def program(kind: str, source: str) -> Path:
    """The program made of a .pyx file: plain, thread (ThreadSanitizer) or address (AddressSanitizer, UBSan)."""
    return _build("--program", kind, source)


def probe() -> Any:
    """tests/_probe.pyx, which drives the C parts of the core alone."""
    return load("_probe", "tests/_probe.pyx")
