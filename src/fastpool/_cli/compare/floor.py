"""The floor: an empty context manager compiled by Cython, which is what `with` costs any class.

It is compiled when first needed, with the Cython and the compiler that are installed, and kept in the user's cache
folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

SOURCE = """\
# cython: language_level=3, freethreading_compatible=True
cimport cython

@cython.final
cdef class Empty:
    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        return None
"""

_BUILD = """\
from Cython.Build import cythonize
from setuptools import Extension, setup
setup(
    script_args=["--quiet", "build_ext", "--inplace"],
    ext_modules=cythonize([Extension("fastpool_floor", ["fastpool_floor.pyx"])], quiet=True),
)
"""


class FloorUnavailable(Exception):
    """The floor cannot be compiled here; the message says why."""


def empty() -> Any:
    """An instance of the empty compiled context manager; FloorUnavailable without Cython, setuptools or a compiler."""
    for needed in ("Cython", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            raise FloorUnavailable(f"needs {needed}: pip install {needed}")
    return _load(_built()).Empty()


def _built() -> Path:
    name = "fastpool_floor" + str(sysconfig.get_config_var("EXT_SUFFIX"))
    recipe = hashlib.sha256((SOURCE + _BUILD + sys.version).encode()).hexdigest()[:12]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastpool" / f"floor-{recipe}"
    if not (home / name).exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "fastpool_floor.pyx").write_text(SOURCE)
            done = subprocess.run(
                [sys.executable, "-c", _BUILD], cwd=folder, capture_output=True, text=True, timeout=120, check=False
            )
            if done.returncode:
                last = (done.stderr.strip() or "no message").splitlines()[-1]
                raise FloorUnavailable(f"the empty context manager could not be compiled: {last}")
            # replaced as a whole, in case two runs build it at the same time
            part = home / f"{name}.{os.getpid()}"
            part.write_bytes(Path(folder, name).read_bytes())
            part.replace(home / name)
    return home / name


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("fastpool_floor", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
